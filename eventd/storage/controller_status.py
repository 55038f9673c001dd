"""What a volume's status means for a run (unchanged, held, failed), and whether its users run."""

from __future__ import annotations

from collections.abc import Sequence

from eventd.kernel.controller import Assessment
from eventd.kernel.model.report import Outcome
from eventd.platform.model_facts import ActiveState, UnitState
from eventd.storage.model_records import VolumeState
from eventd.storage.model_volume import VolumeStatus


def assessment_of(status: VolumeStatus, running: Sequence[str], *, is_used: bool) -> Assessment:
    """Return what a volume's status means for a run. `running`: its users that still run. `is_used`: it has users."""
    outcome = Outcome.UNCHANGED
    if status.state is VolumeState.MIGRATING:
        return Assessment(Outcome.HELD, "migrating", status.message, status.hint)
    if status.state is VolumeState.EJECTING and running:
        message = f"waiting for {' and '.join(running)} to stop before unmounting"
        return Assessment(Outcome.HELD, "in-use", message, f"eventctl why {running[0]}")
    if status.state is VolumeState.DISCONNECTED:
        # A detached disk that nothing waits for is fine.
        outcome = Outcome.HELD if is_used else Outcome.UNCHANGED
    elif status.reason == "not-moved":
        outcome = Outcome.HELD
    elif status.state in (VolumeState.REFUSED, VolumeState.DEGRADED) or status.reason:
        outcome = Outcome.FAILED
    return Assessment(outcome, status.reason, status.message, status.hint)


def runs(state: UnitState | None) -> bool:
    """Return whether a unit runs, or is about to."""
    if state is None:
        return False
    return state.active not in (ActiveState.INACTIVE, ActiveState.FAILED) or state.auto_restarting
