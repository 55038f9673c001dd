"""The files of a workload after its account is given back: plain units that start at boot without eventd.

Normally the daemon starts the units, once their gates are open. Without it, a drop-in of the account's `default.target`
pulls in the units that ran; the unit of a stack, which runs a program of eventd, is replaced by one that only runs
podman; and the timer that asks the daemon for updates is removed. The repository's own files stay byte for byte. Pure.
docs/adr/0018 gives the reasons.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping

from eventd.compose.model_stack import UP
from eventd.unitfiles.model import parse
from eventd.updates.model_timer import STEM

DROP_IN = "default.target.d/50-eventd-handed-back.conf"
"""Relative to the folder of the account's companion units, which eventd-user-generator reads."""


def wanted_at_boot(units: Iterable[str]) -> bytes:
    """Return the drop-in that makes the account's manager start these units."""
    names = sorted(set(units))
    lines = [
        "# eventd gave this account back. The account's manager now starts these units, without waiting for gates."
    ]
    return "\n".join([*lines, "[Unit]", *(f"Wants={name}" for name in names), ""]).encode()


def changes(companions: Mapping[str, bytes], running: Iterable[str]) -> dict[str, bytes | None]:
    """Return the new content of the companion units, by file name; None: remove the file."""
    found: dict[str, bytes | None] = {}
    names = set(running)
    if names:
        found[DROP_IN] = wanted_at_boot(names)
    for name, content in companions.items():
        if name in (f"{STEM}.timer", f"{STEM}.service"):
            found[name] = None
        elif name.endswith(".service") and (stack := plain_stack(content, name)) is not None:
            found[name] = stack
    return found


def plain_stack(content: bytes, name: str) -> bytes | None:
    """Return a unit that starts and stops a stack with podman alone; None if this is not the unit of a stack."""
    unit = parse(content, name)
    start = unit.value("Service", "ExecStart")
    if not start.startswith(f"{UP} run "):
        return None
    provider, options = "/usr/bin/docker-compose", []
    words = shlex.split(start)[2:]
    for key, value in zip(words[::2], words[1::2], strict=False):
        if key == "--provider":
            provider = value
        elif key == "--project":
            options += ["--project-name", value]
        elif key in ("--file", "--env-file"):
            options += [key, value]
    compose = shlex.join(["/usr/bin/podman", "compose", *options])
    sockets = [] if provider.endswith("podman-compose") else ["Wants=podman.socket", "After=podman.socket"]
    return "\n".join(
        [
            "# eventd gave this account back: this stack runs without eventd. Active means started, not healthy.",
            "[Unit]",
            *(f"Description={line.value}" for line in unit.values("Unit", "Description")),
            *sockets,
            "",
            "[Service]",
            "Type=oneshot",
            "RemainAfterExit=yes",
            "# podman would put the containers' monitors into this unit's cgroup, which ends with it.",
            "UnsetEnvironment=INVOCATION_ID",
            f"Environment=PODMAN_COMPOSE_PROVIDER={provider} PODMAN_COMPOSE_WARNING_LOGS=false",
            f"ExecStart={compose} up --detach --remove-orphans",
            f"ExecStop={compose} stop",
            "TimeoutStartSec=15min",
            "",
            "[Install]",
            "WantedBy=default.target",
            "",
        ]
    ).encode()
