"""Whether a stack is up: functions over containers and the clock. Pure.

A container with a health check is up when it is healthy. One without has to have stayed up for a while
(`settle`): podman calls a program that is about to fall over `running`, too. Health takes its own time by its
own retries, so `unhealthy` is final; an ended container is final where nobody will start it again.
`process_supervise.py` waits for the next event, or for `look_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from eventd.compose.process_containers import Container, completing


class Condition(StrEnum):
    """How one service does."""

    UP = "up"
    COMPLETED = "completed"
    """Ended with 0, as it is meant to."""
    SETTLING = "settling"
    """Runs, without a health check, and not for long."""
    STARTING = "starting"
    """Its first health checks are under way, or it has not been started yet."""
    RESTARTING = "restarting"
    """Has ended, and podman starts it again."""
    PAUSED = "paused"
    MISSING = "missing"
    EXITED = "exited"
    UNHEALTHY = "unhealthy"


_GOOD = frozenset({Condition.UP, Condition.COMPLETED})
_FINAL = frozenset({Condition.EXITED, Condition.UNHEALTHY})


@dataclass(frozen=True, slots=True)
class Finding:
    """One container, or a service that has none."""

    name: str
    condition: Condition
    detail: str

    def __str__(self) -> str:
        return f"{self.name} {self.detail}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """How the stack does."""

    findings: tuple[Finding, ...]
    look_at: float | None
    """When to look again though nothing happens, in seconds since the epoch."""

    @property
    def up(self) -> bool:
        """Whether all of it is as it should be (a stack of nothing is not)."""
        return bool(self.findings) and all(finding.condition in _GOOD for finding in self.findings)

    @property
    def lacking(self) -> tuple[Finding, ...]:
        """Return what is not as it should be."""
        return tuple(finding for finding in self.findings if finding.condition not in _GOOD)

    @property
    def broken(self) -> tuple[Finding, ...]:
        """Return what will not become good by waiting."""
        return tuple(finding for finding in self.findings if finding.condition in _FINAL)

    def summary(self) -> str:
        """Return one line for `systemctl status`."""
        if not self.lacking:
            return f"{len(self.findings)} of {len(self.findings)} containers up"
        return "; ".join(map(str, self.lacking)) or "no containers"


def judge(
    stack: tuple[Container, ...], *, now: float, settle: float, expected: Iterable[str] = ()
) -> Verdict:
    """Return how the stack does at `now` (seconds since the epoch); `expected` are services that must be there."""
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
            # A clock that was set back must not make it wait for hours.
            if 0 <= now - container.started < settle:
                again = f" (started again {container.restarts} times)" if container.restarts else ""
                return Condition.SETTLING, f"runs for less than {settle:g} s{again}"
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
            return Condition.STARTING, "was created and not started"
        case "unmonitored":
            return Condition.EXITED, "has lost its monitor process"
        case _:
            return Condition.EXITED, f"is in the state {container.state!r}"


def _says(container: Container) -> str:
    return f" (its check says: {container.checked})" if container.checked else ""


def _comes_back(container: Container) -> bool:
    """Whether podman itself starts it again."""
    match container.restart_policy:
        case "always" | "unless-stopped":
            return True
        case "on-failure":
            return container.exit_code != 0
        case _:
            return False


@dataclass(frozen=True, slots=True)
class Leftover:
    """A container from before that `compose up` must not find as it is."""

    container: Container
    why: str
    foreign: bool
    """Whether its label names another unit, which may be running it."""


def leftovers(
    stack: tuple[Container, ...], *, unit: str, now: float, stuck_after: float
) -> tuple[Leftover, ...]:
    """Return what has to go before a start. Containers that run and are well stay: nothing restarts for them.

    unit: the unit that owns the stack; empty when that is not known.
    stuck_after: seconds after which a first health check that is still under way is taken for a lost one.
    """
    found: list[Leftover] = []
    ends = completing(stack)
    for container in stack:
        if unit and container.unit not in ("", unit):
            found.append(Leftover(container, f"belongs to {container.unit}", foreign=True))
        elif container.service in ends and container.state == "exited" and not container.exit_code:
            pass  # it has done its work; the provider runs it again where that is due
        elif why := _stale(container, now=now, stuck_after=stuck_after):
            found.append(Leftover(container, why, foreign=False))
    return tuple(found)


def _stale(container: Container, *, now: float, stuck_after: float) -> str:
    if container.state != "running":
        return f"is left over in the state {container.state!r}"
    if container.health == "unhealthy":
        return "is unhealthy"
    if container.health == "starting" and now - container.started > stuck_after:
        # Its timer is a transient unit of the user's manager, and gone when that was started anew.
        return f"had no result of a health check for {now - container.started:.0f} s"
    return ""


def refuse_foreign(found: Iterable[Leftover], is_active: Callable[[str], bool]) -> tuple[Leftover, ...]:
    """Return the leftovers whose unit is active: taking them away would break that unit."""
    return tuple(leftover for leftover in found if leftover.foreign and is_active(leftover.container.unit))
