"""A compose stack as a workload: one user service `<stack>.service` over the files beside `compose.yaml`.

Pure. eventd writes that service itself, as a companion unit: one source for one unit name. Its main process is
`eventd-compose`, which says READY=1 only when every container runs (and is healthy, where it has a health check), so
that `systemctl --user restart` fails if the stack does. docs/adr/0008-compose-unit-design.md has the reasons for each
line. Next: `eventd.desired.model_units` reads it as any companion.
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
"""The compose program, unless the host says otherwise."""
STOP_TIMEOUT = 90
"""Seconds for the containers of a stack to stop; podman kills each after its own stop grace period."""


@dataclass(frozen=True, slots=True)
class StackHost:
    """What the host says about stacks."""

    folder: str
    """Where they are installed, in a folder per uid."""
    provider: str
    """The compose program."""


def with_service(
    content: Content, options: WorkloadOptions, host: StackHost, *, gated: bool
) -> tuple[Content, list[Diagnostic]]:
    """Return the content with the stack's service in it, and what is wrong with the stack."""
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
            message = "a workload is a compose stack or Quadlet files, not both: two owners for one set of containers"
            yield error(
                part.install.origin, "compose-and-quadlets", message, "move one of them to its own workload"
            )
        elif part.name == service:
            message = f"{service} is the stack's own unit, which eventd writes"
            hint = f"rename it, or put settings into {service}.d/NAME.conf"
            yield error(part.install.origin, "reserved-file", message, hint)
    others = [name for name in content.parts if name in NAMES and name not in stack_files(content.parts)]
    for name in others:
        message = f"{name} is read by nobody beside {stack_files(content.parts)[0]}"
        yield warning(content.parts[name].install.origin, "ignored-file", message, "keep one of them")


def _named(content: Content, stack: Stack, origin: str, options: WorkloadOptions) -> Iterator[Diagnostic]:
    """Yield a warning about a name that the project would have if it were started by hand, and has not here."""
    project = options.compose_project or content.name
    if not stack.name or "$" in stack.name or stack.name == project:
        return
    message = f"the project is called {project} and not {stack.name}: its volumes are {project}_…, and new"
    key = options.place.key("compose.project")
    hint = f'to go on with those of {stack.name}: project = "{stack.name}" ({key}); else remove this name'
    yield Diagnostic(Severity.WARNING, origin, stack.name_line, "name", message, hint, "project-name")


def _builds(stack: Stack, origin: str) -> Iterator[Diagnostic]:
    for each in stack.services:
        if each.built:
            message = f"the image of {each.name} is built on the host, when the stack starts"
            hint = "the start then takes as long as the build; a registry with built images is faster"
            yield warning(origin, "compose-build", message, hint)


def arguments(
    content: Content, options: WorkloadOptions, host: StackHost, needed: tuple[str, ...]
) -> tuple[str, ...]:
    """Return what every command of eventd-compose is told of the stack."""
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
    """Return the units, with that of the stack renewed by what decides how its containers are made.

    The rest of that unit's text is eventd's own, and a change of it restarts nothing. What is as it is by default is
    not digested, so that it is what it was before it could be set.
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
        "# Made by eventd from the stack's compose file.",
        "[Unit]",
        f"Description=Compose stack {content.name}",
        "# docker-compose talks to podman through the user's socket; the first podman of a boot goes before.",
        f"Wants={PAUSE_UNIT}{sockets}",
        f"After={PAUSE_UNIT}{sockets}",
        "",
        "[Service]",
        "# Ready when every container runs, and is healthy where it has a health check. A reload applies it anew.",
        "Type=notify-reload",
        "NotifyAccess=main",
        f"ExecStart={start} --deadline {timeout:g} --stop-timeout {STOP_TIMEOUT}",
        "# It fails at its deadline by itself, and says what was missing; these are for when it hangs.",
        f"TimeoutStartSec={timeout + SLACK:g}",
        f"TimeoutStopSec={STOP_TIMEOUT + SLACK:g}",
        "# Containers and their monitors are not in this unit's cgroup: the supervisor takes them down.",
        "KillMode=mixed",
        "Restart=on-failure",
        "RestartSec=5",
        "RestartSteps=6",
        "RestartMaxDelaySec=5min",
        "# A foreign container, a missing env file, a wrong compose file: trying again changes nothing.",
        "RestartPreventExitStatus=76 78 79",
        "SyslogIdentifier=eventd-compose",
    ]
    if not gated:
        lines += ["", "[Install]", "WantedBy=default.target"]
    return "\n".join([*lines, ""])


SLACK = 30.0
"""Seconds by which systemd's own deadline is later: the process then says itself what it waited for."""
