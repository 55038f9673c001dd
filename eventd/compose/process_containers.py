"""Parses a stack's containers from the output of `podman container inspect`. Pure.

`process_verdict.py` decides what they mean for the stack.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

PROJECT_LABEL: Final = "com.docker.compose.project"
"""The label that both providers set, by which podman finds a project's containers."""
UNIT_LABEL: Final = "PODMAN_SYSTEMD_UNIT"
"""podman's own label: the unit that a container belongs to (podman-auto-update(1))."""
COMPLETES_LABEL: Final = "eventd.completes"
"""The label is `true` on a service whose container is meant to end with status 0, such as a migration."""
_SERVICE: Final = "com.docker.compose.service"
_DEPENDS: Final = "com.docker.compose.depends_on"
_MOST: Final = 200
"""How many characters of a container's output are quoted."""
_ONEOFF: Final = "com.docker.compose.oneoff"


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a stack."""

    id: str
    name: str
    service: str
    """Its name in the compose file."""
    state: str
    """podman's state (created, initialized, running, paused, stopping, stopped, exited, removing) or `unmonitored`."""
    health: str
    """starting, healthy, unhealthy; empty without a health check."""
    exit_code: int
    started: float
    """When it last started, in seconds since the epoch; 0.0: never."""
    restarts: int
    restart_policy: str
    """no, on-failure, unless-stopped, always."""
    unit: str
    """The unit in its label, or empty."""
    conmon: int
    """The process id of its monitor while it runs, else 0. The monitor ends after podman has recorded the end."""
    image: str
    """The reference that it was created from."""
    image_id: str
    depends: tuple[tuple[str, str], ...]
    """Services that it depends on, each with the condition (`service_started`)."""
    completes: bool
    """Whether its label says that it is meant to end."""
    checked: str = ""
    """The output of its last health check, on one line."""


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
    """Return the output of the last health check; podman keeps five."""
    log = health.get("Log") or [{}]
    return printable(str(log[-1].get("Output", "")))


def printable(text: str) -> str:
    """Return the last line of a container's output, ready to end a sentence."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "".join(c if c.isprintable() else " " for c in lines[-1]).strip()[:_MOST] if lines else ""


def _has_check(check: dict[str, Any]) -> bool:
    """Whether there is a health check; compose writes `disable: true` as the test `NONE`."""
    return bool(check.get("Test")) and check["Test"][0] != "NONE"


_ALIVE: Final = frozenset({"running", "paused", "stopping"})


def _depends(text: str) -> tuple[tuple[str, str], ...]:
    """Parse docker-compose's label: `db:service_healthy:false,migrate:service_completed_successfully:false`."""
    pairs = [entry.split(":") for entry in text.split(",") if entry]
    return tuple((pair[0], pair[1] if len(pair) > 1 else "service_started") for pair in pairs)


def _epoch(text: str) -> float:
    """Parse podman's RFC 3339 time with nanoseconds; the year 1 means never."""
    if not text or text.startswith("0001-"):
        return 0.0
    head, dot, rest = text.partition(".")
    if dot:
        # datetime accepts six fractional digits, podman prints up to nine.
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        text = f"{head}.{digits[:6].ljust(6, '0')}{rest[len(digits) :]}"
    return datetime.fromisoformat(text).timestamp()


def unmonitored(stack: tuple[Container, ...], gone: Collection[int]) -> tuple[Container, ...]:
    """Return the containers, with the state `unmonitored` for those whose monitor is gone."""
    return tuple(replace(one, state="unmonitored", conmon=0) if one.conmon in gone else one for one in stack)


def completing(stack: tuple[Container, ...]) -> frozenset[str]:
    """Return the services that are meant to end, by their label or because another service waits for it."""
    waited_for = {
        service
        for container in stack
        for service, condition in container.depends
        if condition == "service_completed_successfully"
    }
    return frozenset(waited_for | {container.service for container in stack if container.completes})


def stop_order(stack: tuple[Container, ...]) -> list[list[Container]]:
    """Return the containers in groups, dependents before their dependencies (a cycle is one group)."""
    left = list(stack)
    groups: list[list[Container]] = []
    while left:
        needed = {service for container in left for service, _ in container.depends}
        group = [container for container in left if container.service not in needed] or left
        groups.append(group)
        left = [container for container in left if container not in group]
    return groups
