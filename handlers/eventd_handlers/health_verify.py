"""Verify: a revision counts as applied once its units are up and have stayed up for their grace.

Judged by signals, not by polling: a unit that dies during its grace is noticed even if `Restart=always` brings it up
again at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventd.gates.model_predicates import Predicate, atoms, missing
from eventd.health.model_actions import Verify
from eventd.kernel import waiting
from eventd.kernel.model.action import Action
from eventd.kernel.model.events import KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import ActiveState, PlatformFact, UnitState
from eventd.platform.model_facts import unit as as_unit
from eventd.workloads.controller_transaction import Transaction, UnitFailedError
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import WorkloadFact


@dataclass(frozen=True, slots=True)
class _Bad:
    unit: str
    reason: str
    message: str


async def verify(action: Action, tx: Transaction) -> None:
    """Wait until the units are up (by the deadline), then make sure that none goes down during the grace."""
    assert isinstance(action, Verify)
    await tx.host.user_managers.refresh(tx.workload)
    keys = {unit: FactKey(PlatformFact.UNIT, unit, tx.workload) for unit in action.units}

    def states() -> dict[str, UnitState | None]:
        return {unit: as_unit(tx.facts.get(key)) for unit, key in keys.items()}

    def settled() -> bool:
        now = states()
        return any(_dead(unit, state) for unit, state in now.items()) or all(
            state is not None and state.up for state in now.values()
        )

    in_time = await tx.unless_superseded(
        lambda: waiting.until(tx.facts, keys.values(), settled, timeout=action.deadline)
    )
    _raise_dead(states())
    if not in_time:
        missing = sorted(u for u, s in states().items() if s is None or not s.up)
        raise UnitFailedError(
            f"{', '.join(missing)} did not come up within {action.deadline:g} s",
            unit=missing[0],
            reason="not-up-in-time",
            hint=f"if they need longer, raise {tx.place.key('health.deadline')}",
        )
    first = states()

    def lost() -> bool:
        return any(_lost(first[unit], state) is not None for unit, state in states().items())

    unstable = bool(action.units) and await tx.unless_superseded(
        lambda: waiting.until(tx.facts, keys.values(), lost, timeout=action.grace)
    )
    if unstable:
        for unit, state in states().items():
            why = _lost(first[unit], state)
            if why is not None:
                raise UnitFailedError(
                    f"{unit} came up and {why} within its grace of {action.grace:g} s",
                    unit=unit,
                    reason="crashed-in-grace",
                )
    if tx.gates.healthy is not None:
        await _expect(action, tx.gates.healthy, tx)
    await tx.inventory.change(
        tx.workload,
        retained=False,
        verified_digest=action.digest,
        verified_commit=tx.commit,
        verified_at=tx.now(),
    )


async def _expect(action: Verify, expect: Predicate, tx: Transaction) -> None:
    """Wait until the expectation holds. Probe results from before this start are discarded."""
    stale = [atom.key for atom in atoms(expect) if atom.probe is not None]
    tx.emit(
        KernelOrigin.DAEMON,
        WorkloadEvent.WORKLOAD_CHANGED,
        tx.workload,
        scope=tx.workload,
        attributes={"state": "active"},
        facts=[(FactKey(WorkloadFact.WORKLOAD, tx.workload), "active"), *((key, None) for key in stale)],
    )
    units = [FactKey(PlatformFact.UNIT, unit, tx.workload) for unit in action.units]

    def decided() -> bool:
        return expect.holds(tx.facts) or any(
            _dead(key.name, as_unit(tx.facts.get(key))) is not None for key in units
        )

    tx.expecting(expect)
    try:
        in_time = await tx.unless_superseded(
            lambda: waiting.until(tx.facts, [*expect.keys(), *units], decided, timeout=action.deadline)
        )
    finally:
        tx.expecting(None)
    _raise_dead({key.name: as_unit(tx.facts.get(key)) for key in units})
    if not in_time:
        parts = missing(expect, tx.facts)
        raise UnitFailedError(
            f"not healthy within {action.deadline:g} s: {'; '.join(part.sentence for part in parts)}",
            unit=action.units[0] if action.units else "",
            reason="not-healthy-in-time",
            hint=f"see {tx.place.key('health.expect')}",
        )


def _dead(unit: str, state: UnitState | None) -> _Bad | None:
    if state is None:
        return None
    if state.auto_restarting:
        return _Bad(
            unit, "crash-looping", f"{unit} exited ({state.result}) and is waiting for its automatic restart"
        )
    if state.active is ActiveState.FAILED:
        return _Bad(
            unit,
            "unit-failed",
            f"{unit} failed ({state.result}, status {state.exec_status}){state.status_suffix}",
        )
    if state.active is ActiveState.INACTIVE and not state.job:
        return _Bad(unit, "unit-stopped", f"{unit} is stopped")
    return None


def _raise_dead(states: dict[str, UnitState | None]) -> None:
    for unit, state in states.items():
        bad = _dead(unit, state)
        if bad is not None:
            raise UnitFailedError(bad.message, unit=unit, reason=bad.reason)


def _lost(first: UnitState | None, now: UnitState | None) -> str | None:
    if first is None or now is None:
        return "disappeared"
    if not now.up:
        return f"went down again ({now.active}, {now.result})"
    if now.restarts > first.restarts or now.invocation != first.invocation:
        return f"was restarted ({now.result})"
    return None
