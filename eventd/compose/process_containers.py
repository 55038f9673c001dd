"""What podman says of a stack's containers, as values. Pure: documents of `podman container inspect` in.

`process_verdict.py` decides what it means for the stack.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

PROJECT_LABEL: Final = "com.docker.compose.project"
"""Both providers set it, so that podman can be asked for a project's containers."""
UNIT_LABEL: Final = "PODMAN_SYSTEMD_UNIT"
"""podman's own: the unit that a container belongs to (podman-auto-update(1))."""
COMPLETES_LABEL: Final = "eventd.completes"
"""`true` on a service whose container is meant to end, with status 0 (a migration, say)."""
_SERVICE: Final = "com.docker.compose.service"
_DEPENDS: Final = "com.docker.compose.depends_on"
_MOST: Final = 200
"""Characters that are quoted of what a container says."""
_ONEOFF: Final = "com.docker.compose.oneoff"


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a stack."""

    id: str
    name: str
    service: str
    """The compose file's name for it."""
    state: str
    """podman's word (created, initialized, running, paused, stopping, stopped, exited, removing) or `unmonitored`."""
    health: str
    """starting, healthy, unhealthy; empty where it has no health check."""
    exit_code: int
    started: float
    """When it was last started, in seconds since the epoch; 0.0 for never."""
    restarts: int
    restart_policy: str
    """no, on-failure, unless-stopped, always."""
    unit: str
    """The unit that its label names, or empty."""
    conmon: int
    """Process id of its monitor while it runs, else 0. The monitor ends after podman has noted the end."""
    image: str
    """The reference that it was made of."""
    image_id: str
    depends: tuple[tuple[str, str], ...]
    """Services that it depends on, each with the condition (`service_started`)."""
    completes: bool
    """Whether its label says that it ends."""
    checked: str = ""
    """What its last health check printed, on one line."""


def containers(documents: list[dict[str, Any]]) -> tuple[Container, ...]:
    """Return the containers, by name, without those of `compose run`. Raises KeyError, TypeError, ValueError."""
    found = [_container(document) for document in documents if not _is_oneoff(document)]
    return tuple(sorted(found, key=lambda container: container.name))


def _is_oneoff(document: dict[str, Any]) -> bool:
    return _labels(document).get(_ONEOFF, "").lower() == "true"


def _labels(document: dict[str, Any]) -> dict[str, str]:
    return document["Config"].get("Labels") or {}


def _container(document: dict[str, Any]) -> Container:
    state = document["State"]
    labels = _labels(document)
    policy = document.get("HostConfig", {}).get("RestartPolicy") or {}
    health = (state.get("Health") or {}).get("Status", "")
    return Container(
        id=document["Id"],
        name=document["Name"].removeprefix("/"),
        service=labels.get(_SERVICE) or document["Name"],
        state=state["Status"],
        health=(health or "starting") if _has_check(document["Config"].get("Healthcheck") or {}) else "",
        exit_code=int(state.get("ExitCode", 0)),
        started=_epoch(state.get("StartedAt", "")),
        restarts=int(document.get("RestartCount", 0)),
        restart_policy=policy.get("Name") or "no",
        unit=labels.get(UNIT_LABEL, ""),
        conmon=int(state.get("ConmonPid", 0)) if state["Status"] in _ALIVE else 0,
        image=document.get("ImageName", ""),
        image_id=document.get("Image", ""),
        depends=_depends(labels.get(_DEPENDS, "")),
        completes=labels.get(COMPLETES_LABEL, "").lower() == "true",
        checked=_checked(state.get("Health") or {}),
    )


def _checked(health: dict[str, Any]) -> str:
    """Return what the last health check printed: podman keeps the latest five."""
    log = health.get("Log") or [{}]
    return printable(str(log[-1].get("Output", "")))


def printable(text: str) -> str:
    """Return the last line of what a container said, as the end of a sentence."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "".join(c if c.isprintable() else " " for c in lines[-1]).strip()[:_MOST] if lines else ""


def _has_check(check: dict[str, Any]) -> bool:
    """Whether there is a health check; compose writes `disable: true` as the test `NONE`."""
    return bool(check.get("Test")) and check["Test"][0] != "NONE"


_ALIVE: Final = frozenset({"running", "paused", "stopping"})


def _depends(text: str) -> tuple[tuple[str, str], ...]:
    """Read docker-compose's label: `db:service_healthy:false,migrate:service_completed_successfully:false`."""
    pairs = [entry.split(":") for entry in text.split(",") if entry]
    return tuple((pair[0], pair[1] if len(pair) > 1 else "service_started") for pair in pairs)


def _epoch(text: str) -> float:
    """Read podman's RFC 3339 time, of nanoseconds; the year 1 stands for never."""
    if not text or text.startswith("0001-"):
        return 0.0
    head, dot, rest = text.partition(".")
    if dot:
        # datetime takes six digits of a second, podman prints up to nine.
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        text = f"{head}.{digits[:6].ljust(6, '0')}{rest[len(digits) :]}"
    return datetime.fromisoformat(text).timestamp()


def unmonitored(stack: tuple[Container, ...], gone: Collection[int]) -> tuple[Container, ...]:
    """Return the containers, with the state `unmonitored` where the monitor's process is gone."""
    return tuple(replace(one, state="unmonitored", conmon=0) if one.conmon in gone else one for one in stack)


def completing(stack: tuple[Container, ...]) -> frozenset[str]:
    """Return the services that are meant to end: by their label, or because another waits for their end."""
    waited_for = {
        service
        for container in stack
        for service, condition in container.depends
        if condition == "service_completed_successfully"
    }
    return frozenset(waited_for | {container.service for container in stack if container.completes})


def stop_order(stack: tuple[Container, ...]) -> list[list[Container]]:
    """Return the containers in groups: each is stopped before what it depends on (a cycle: all at once)."""
    left = list(stack)
    groups: list[list[Container]] = []
    while left:
        needed = {service for container in left for service, _ in container.depends}
        group = [container for container in left if container.service not in needed] or left
        groups.append(group)
        left = [container for container in left if container not in group]
    return groups
