"""A compose stack as a workload: one user service `<stack>.service` over the files beside `compose.yaml`.

Pure. eventd writes that service itself, as a companion unit. Its main process is `eventd-compose`, which sends READY=1
only when every container runs (and is healthy, if it has a health check), so that `systemctl --user restart` fails if
the stack does. docs/adr/0008-compose-unit-design.md has the reason for each line. Next: `eventd.desired.model_units`
treats it like any companion.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from eventd.compose.model_file import NAMES, Stack, parse_stack, stack_files
from eventd.desired.model import DesiredUnit, FileRole, InstallFile, WorkloadOptions
from eventd.desired.model_content import Content, Part
from eventd.desired.model_own_drop_ins import ORIGIN, PAUSE_UNIT
from eventd.desired.model_survey import error, warning
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.unitfiles.model import parse

UP = "/usr/bin/eventd-compose"
PROVIDER = "/usr/bin/docker-compose"
"""The default compose program."""
STOP_TIMEOUT = 90
"""Seconds for the containers of a stack to stop; podman kills each after its own grace period."""


@dataclass(frozen=True, slots=True)
class StackHost:
    """The host's settings for stacks."""

    folder: str
    """Where stacks are installed, one folder per uid."""
    provider: str
    """The compose program."""


def with_service(
    content: Content, options: WorkloadOptions, host: StackHost, *, gated: bool
) -> tuple[Content, list[Diagnostic]]:
    """Return the content with the stack's service added, and the findings about the stack."""
    found: list[Diagnostic] = []
    needed: list[str] = []
    beside = frozenset(part.name for part in content.stack)
    for each in stack_files(content.parts):
        file = content.parts[each].install
        stack, problems = parse_stack(file.content, file.origin, beside)
        found += [*problems, *_builds(stack, file.origin), *_named(content, stack, file.origin, options)]
        needed += stack.env_files
    found += _problems(content)
    text = _unit(content, options, host, tuple(dict.fromkeys(needed)), gated=gated)
    name = f"{content.name}.service"
    install = InstallFile(FileRole.COMPANION, name, text.encode(), ORIGIN)
    part = Part(install, parse(install.content, content.origin), made=True)
    return replace(content, parts=dict(sorted({**content.parts, name: part}.items()))), found


def _problems(content: Content) -> Iterator[Diagnostic]:
    service = f"{content.name}.service"
    for part in content.parts.values():
        if part.install.role is FileRole.QUADLET:
            message = "a workload is either a compose stack or Quadlet files, not both"
            yield error(
                part.install.origin,
                "compose-and-quadlets",
                message,
                "move one of them to a workload of its own",
            )
        elif part.name == service:
            message = f"{service} is the stack's own unit, which eventd generates"
            hint = f"rename it, or put its settings into {service}.d/NAME.conf"
            yield error(part.install.origin, "reserved-file", message, hint)
    others = [name for name in content.parts if name in NAMES and name not in stack_files(content.parts)]
    for name in others:
        message = f"{name} is ignored, because there is {stack_files(content.parts)[0]}"
        yield warning(content.parts[name].install.origin, "ignored-file", message, "keep one of them")


def _named(content: Content, stack: Stack, origin: str, options: WorkloadOptions) -> Iterator[Diagnostic]:
    """Yield a warning if the file sets a project name: it applies when started by hand, but not here."""
    project = options.compose_project or content.name
    if not stack.name or "$" in stack.name or stack.name == project:
        return
    message = f"the project is named {project}, not {stack.name}: it gets new volumes, named {project}_…"
    key = options.place.key("compose.project")
    hint = f'to use those of {stack.name}: project = "{stack.name}" ({key}); else remove this name'
    yield Diagnostic(Severity.WARNING, origin, stack.name_line, "name", message, hint, "project-name")


def _builds(stack: Stack, origin: str) -> Iterator[Diagnostic]:
    for each in stack.services:
        if each.built:
            message = f"the image of {each.name} is built on the host when the stack starts"
            hint = "the start then takes as long as the build; a registry with built images is faster"
            yield warning(origin, "compose-build", message, hint)


def arguments(
    content: Content, options: WorkloadOptions, host: StackHost, needed: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the arguments that all commands of eventd-compose share."""
    folder = f"{host.folder}/%U"
    project = options.compose_project or content.name
    words = ["--project", project, "--unit", f"{content.name}.service", "--provider", host.provider]
    for name in stack_files(content.parts):
        words += ["--file", f"{folder}/{name}"]
    for each in options.compose_env_files:
        words += ["--env-file", each.text]
    for path in needed:
        words += ["--needs-file", path]
    return tuple(words)


def bound(
    units: tuple[DesiredUnit, ...], content: Content, options: WorkloadOptions, host: StackHost
) -> tuple[DesiredUnit, ...]:
    """Return the units, with the digest of the stack's unit extended by the options that affect its containers.

    The rest of the unit's text is eventd's own, and must not cause restarts. Defaults are left out of the digest, so
    that adding an option does not change it.
    """
    words = [f"project={options.compose_project}"] if options.compose_project else []
    if host.provider != PROVIDER:
        words.append(f"provider={host.provider}")
    if not words:
        return units
    service = f"{content.name}.service"
    return tuple(
        replace(unit, digest=hashlib.sha256("\0".join((unit.digest, *words)).encode()).hexdigest())
        if unit.name == service
        else unit
        for unit in units
    )


def _unit(
    content: Content, options: WorkloadOptions, host: StackHost, needed: tuple[str, ...], *, gated: bool
) -> str:
    timeout = options.compose_timeout
    start = " ".join((UP, "run", *arguments(content, options, host, needed)))
    sockets = "" if host.provider.endswith("podman-compose") else " podman.socket"
    lines = [
        "# Generated by eventd from the stack's compose file.",
        "[Unit]",
        f"Description=Compose stack {content.name}",
        "# docker-compose talks to podman through the user's socket, after the first podman of the boot.",
        f"Wants={PAUSE_UNIT}{sockets}",
        f"After={PAUSE_UNIT}{sockets}",
        "",
        "[Service]",
        "# Ready when every container runs, and is healthy if it has a health check. A reload applies changes.",
        "Type=notify-reload",
        "NotifyAccess=main",
        f"ExecStart={start} --deadline {timeout:g} --stop-timeout {STOP_TIMEOUT}",
        "# It fails at its own deadline and reports what was missing; these are for when it hangs.",
        f"TimeoutStartSec={timeout + SLACK:g}",
        f"TimeoutStopSec={STOP_TIMEOUT + SLACK:g}",
        "# Containers and their monitors are not in this unit's cgroup: the supervisor stops them.",
        "KillMode=mixed",
        "Restart=on-failure",
        "RestartSec=5",
        "RestartSteps=6",
        "RestartMaxDelaySec=5min",
        "# A foreign container, a missing env file, an invalid compose file: a restart does not help.",
        "RestartPreventExitStatus=76 78 79",
        "SyslogIdentifier=eventd-compose",
    ]
    if not gated:
        lines += ["", "[Install]", "WantedBy=default.target"]
    return "\n".join([*lines, ""])


SLACK = 30.0
"""Seconds by which systemd's timeout is later, so that the process can report what it waited for."""
