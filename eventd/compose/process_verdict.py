"""Decides whether a stack is up, from its containers and the time. Pure.

A container with a health check is up when it is healthy. One without has to run for a while (`settle`): podman also
reports a program that is about to crash as `running`. Health checks have their own retries, so `unhealthy` is final; an
ended container is final if nothing starts it again. `process_supervise.py` waits for the next event, or for `look_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from eventd.compose.process_containers import Container, completing


class Condition(StrEnum):
    """The condition of one service."""

    UP = "up"
    COMPLETED = "completed"
    """Ended with 0, as intended."""
    SETTLING = "settling"
    """Runs without a health check, but not for long enough yet."""
    STARTING = "starting"
    """Its first health checks are running, or it has not been started yet."""
    RESTARTING = "restarting"
    """Ended, and podman starts it again."""
    PAUSED = "paused"
    MISSING = "missing"
    EXITED = "exited"
    UNHEALTHY = "unhealthy"


_GOOD = frozenset({Condition.UP, Condition.COMPLETED})
_FINAL = frozenset({Condition.EXITED, Condition.UNHEALTHY})


@dataclass(frozen=True, slots=True)
class Finding:
    """The condition of one container, or of a service without one."""

    name: str
    condition: Condition
    detail: str

    def __str__(self) -> str:
        return f"{self.name} {self.detail}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The state of the stack."""

    findings: tuple[Finding, ...]
    look_at: float | None
    """When to check again even if nothing happens, in seconds since the epoch."""

    @property
    def up(self) -> bool:
        """Whether everything is up (an empty stack is not)."""
        return bool(self.findings) and all(finding.condition in _GOOD for finding in self.findings)

    @property
    def lacking(self) -> tuple[Finding, ...]:
        """Return what is not up."""
        return tuple(finding for finding in self.findings if finding.condition not in _GOOD)

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Return what waiting will not fix."""
        return tuple(finding for finding in self.findings if finding.condition in _FINAL)

    def summary(self) -> str:
        """Return one line for `systemctl status`."""
        if not self.lacking:
            return f"{len(self.findings)} of {len(self.findings)} containers up"
        return "; ".join(map(str, self.lacking)) or "no containers"


def judge(
    stack: tuple[Container, ...], *, now: float, settle: float, expected: Iterable[str] = ()
) -> Verdict:
    """Return the stack's state at `now` (seconds since the epoch). `expected`: services that must have a container."""
    ends = completing(stack)
    findings: list[Finding] = []
    times: list[float] = []
    for container in stack:
        condition, detail = _judge(container, now=now, settle=settle, ends=container.service in ends)
        findings.append(Finding(container.name, condition, detail))
        if condition is Condition.SETTLING:
            times.append(container.started + settle)
    present = {container.service for container in stack}
    findings += [
        Finding(service, Condition.MISSING, "has no container") for service in sorted(set(expected) - present)
    ]
    return Verdict(tuple(findings), min(times, default=None))


def _judge(container: Container, *, now: float, settle: float, ends: bool) -> tuple[Condition, str]:
    match container.state:
        case "running" if ends:
            return Condition.STARTING, "has not completed yet"
        case "running" if container.health == "healthy":
            return Condition.UP, "is healthy"
        case "running" if container.health == "unhealthy":
            return Condition.UNHEALTHY, f"is unhealthy{_says(container)}"
        case "running" if container.health:
            return Condition.STARTING, f"is not healthy yet{_says(container)}"
        case "running":
            # If the clock was set back, this must not wait for hours.
            if 0 <= now - container.started < settle:
                again = f" (started again {container.restarts} times)" if container.restarts else ""
                return Condition.SETTLING, f"has run for less than {settle:g} s{again}"
            return Condition.UP, "runs"
        case "paused":
            return Condition.PAUSED, "is paused"
        case "exited" | "stopped" if ends and container.exit_code == 0:
            return Condition.COMPLETED, "has completed"
        case "exited" | "stopped" | "stopping":
            detail = f"exited with status {container.exit_code}"
            if container.state == "stopping" or _comes_back(container):
                return Condition.RESTARTING, detail
            return Condition.EXITED, detail
        case "created" | "initialized" | "configured":
            return Condition.STARTING, "was created but not started"
        case "unmonitored":
            return Condition.EXITED, "has lost its monitor process"
        case _:
            return Condition.EXITED, f"is in the state {container.state!r}"


def _says(container: Container) -> str:
    return f" (its check says: {container.checked})" if container.checked else ""


def _comes_back(container: Container) -> bool:
    """Return whether podman itself starts it again."""
    match container.restart_policy:
        case "always" | "unless-stopped":
            return True
        case "on-failure":
            return container.exit_code != 0
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Leftover:
    """An existing container that `compose up` must not find as it is."""

    container: Container
    why: str
    foreign: bool
    """Whether its label names another unit, which may run it."""


def leftovers(
    stack: tuple[Container, ...], *, unit: str, now: float, stuck_after: float
) -> tuple[Leftover, ...]:
    """Return the containers to remove before a start. Running, healthy ones stay and are not restarted.

    unit: the unit that owns the stack; empty if it is not known.
    stuck_after: seconds after which a first health check without a result counts as lost.
    """
    found: list[Leftover] = []
    ends = completing(stack)
    for container in stack:
        if unit and container.unit not in ("", unit):
            found.append(Leftover(container, f"belongs to {container.unit}", foreign=True))
        elif container.service in ends and container.state == "exited" and not container.exit_code:
            pass  # it is done; the provider runs it again if necessary
        elif why := _stale(container, now=now, stuck_after=stuck_after):
            found.append(Leftover(container, why, foreign=False))
    return tuple(found)


def _stale(container: Container, *, now: float, stuck_after: float) -> str:
    if container.state != "running":
        return f"is left over in the state {container.state!r}"
    if container.health == "unhealthy":
        return "is unhealthy"
    if container.health == "starting" and now - container.started > stuck_after:
        # Its timer is a transient unit of the user manager, and is gone after that was restarted.
        return f"had no result of a health check for {now - container.started:.0f} s"
    return ""


def refuse_foreign(found: Iterable[Leftover], is_active: Callable[[str], bool]) -> tuple[Leftover, ...]:
    """Return the leftovers whose unit is active: removing them would break that unit."""
    return tuple(leftover for leftover in found if leftover.foreign and is_active(leftover.container.unit))
