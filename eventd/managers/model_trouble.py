"""Explains why a user's manager cannot be used: a named cause with a remedy, not just a timeout.

Pure. `explain` combines the state of `user@UID.service` with what was observed of its bus. All causes have the reason
`user-manager-unavailable`; the message names the cause. `wakes_on` names the facts whose change ends the condition, so
nothing polls.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from eventd.kernel.model.errors import DeadlineError, EventdError, TemporaryError
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import Account, ActiveState, LoadState, PlatformFact, UnitState
from eventd.platform.systemd.model_user_manager import manager_unit
from eventd.workloads.model_facts import WorkloadFact

REASON = "user-manager-unavailable"
MISBEHAVES = "bus-misbehaves"
VIOLATIONS = frozenset({"signal-flood", "message-too-large", "bad-message", "bad-reply", "handler-failed"})
"""Reasons for which we ended a connection to a user's bus: the peer did what systemd never does."""


class Cause(StrEnum):
    """Why a manager cannot be used. Each cause has its own remedy."""

    MASKED = "masked"
    FAILED = "failed"
    NO_RUNTIME = "no runtime directory"
    FULL = "runtime directory full"
    NO_SOCKET = "no bus"
    REFUSED = "bus refuses"
    FROZEN = "frozen"
    STOPPED = "process stopped"
    SILENT = "no answer"
    MISBEHAVES = "bus misbehaves"
    SLOW = "slow start"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was just observed of a user's manager and its bus."""

    runtime: bool = True
    """/run/user/UID is a folder that belongs to the user."""
    full: bool = False
    """It has no free space or no free inodes."""
    socket: bool = True
    """The socket of the bus exists."""
    frozen: bool = False
    """The control group is frozen (cgroup.events)."""
    stopped: bool = False
    """The manager's main process is stopped by a signal (proc_pid_stat(5), state T)."""


class ManagerUnavailableError(TemporaryError):
    """A user's manager cannot be used."""

    reason = REASON

    def __init__(self, account: Account, cause: Cause, why: str, hint: str) -> None:
        unit = manager_unit(account.uid)
        super().__init__(
            f"the user manager of {account.name} cannot be used ({cause}): {why}",
            reason=REASON,
            hint=hint,
            wakes_on=frozenset(
                {
                    FactKey(PlatformFact.UNIT, unit),
                    FactKey(WorkloadFact.MANAGER, account.name),
                    # A reload of the system manager follows unmasking, or the correction of a drop-in.
                    FactKey(PlatformFact.RELOADING, ""),
                }
            ),
        )
        self.cause = cause
        self.unit = unit


def explain(
    account: Account, state: UnitState | None, seen: Evidence, error: EventdError | None
) -> ManagerUnavailableError | None:
    """Return why the manager cannot be used; None if no cause is found.

    `error`: the error of an attempt to use it; None before an attempt.
    """
    unit, run = manager_unit(account.uid), f"/run/user/{account.uid}"
    active = state.active if state is not None else ActiveState.INACTIVE

    def found(cause: Cause, why: str, hint: str) -> ManagerUnavailableError:
        return ManagerUnavailableError(account, cause, why, hint)

    if (state is not None and state.load is LoadState.MASKED) or (
        error is not None and error.reason == "unit-masked"
    ):
        return found(Cause.MASKED, f"{unit} is masked", f"systemctl unmask {unit}")
    if active is ActiveState.ACTIVE:
        if seen.frozen:
            return found(
                Cause.FROZEN,
                f"user-{account.uid}.slice is frozen",
                f"systemctl thaw user-{account.uid}.slice",
            )
        if seen.stopped:
            hint = f"systemctl kill -s CONT --kill-whom=main {unit}"
            return found(Cause.STOPPED, "its process was stopped by a signal", hint)
        again = f"systemctl restart {unit}, which restarts what runs in it"
        if not seen.runtime:
            return found(Cause.NO_RUNTIME, f"{run} is not there, or not a folder of the user's", again)
        if error is None:
            return None if seen.socket else found(Cause.NO_SOCKET, f"{run}/bus is not there", again)
        if error.reason == MISBEHAVES or error.reason in VIOLATIONS:
            return found(
                Cause.MISBEHAVES,
                error.message,
                f"what serves {run}/bus is not, or not only, systemd: systemctl status user-{account.uid}.slice",
            )
        if error.reason in (REASON, "bus-unavailable", "access-denied", "bus-not-trusted"):
            if not seen.socket:
                return found(Cause.NO_SOCKET, f"{run}/bus is not there", again)
            if seen.full:
                return found(Cause.FULL, f"{run} is full", f"make room in {run}")
            return found(
                Cause.REFUSED,
                error.message,
                f"systemctl --user -M {account.name}@ status dbus.socket dbus.service",
            )
        if isinstance(error, DeadlineError) and error.reason == "no-answer":
            return found(Cause.SILENT, error.message, f"systemctl status {unit}")
        return None
    if error is None or error.reason not in (REASON, "deadline"):
        return None
    if active is ActiveState.ACTIVATING:
        return found(Cause.SLOW, f"{unit} is still starting: {error.message}", f"systemctl status {unit}")
    if active is ActiveState.FAILED:
        if not seen.runtime:
            why = f"{run} is not there: user-runtime-dir@{account.uid}.service failed"
            return found(Cause.NO_RUNTIME, why, f"systemctl status user-runtime-dir@{account.uid}.service")
        result = state.result if state is not None else "unknown"
        return found(Cause.FAILED, f"{unit} failed, with the result {result}", f"journalctl -u {unit}")
    return None
