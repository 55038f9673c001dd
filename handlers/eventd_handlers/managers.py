"""User managers: lingering, `user@UID.service`, reload. Every wait is for a job or a signal, with a deadline."""

from __future__ import annotations

from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.model.facts import FactKey
from eventd.managers.model_actions import DisableLinger, EnableLinger, Reload, StartManager, StopManager
from eventd.platform.model_facts import PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.platform.systemd.model_user_manager import manager_unit
from eventd.platform.systemd.ports import Verb
from eventd.workloads.controller_transaction import Transaction
from eventd_handlers.jobs import run_job

CALL_TIMEOUT = 30.0
"""Seconds for a D-Bus call that does not wait for a workload."""
MANAGER_TIMEOUT = 120.0
"""Seconds for a user manager to come up or go down (its own DefaultTimeoutStartSec is 90 s)."""


async def enable_linger(action: Action, tx: Transaction) -> None:
    """Record that eventd enables lingering, then enable it, so that eventd only ever disables what it enabled.

    In this order: after a crash in between, the next plan enables it. In the other order, nobody would ever disable it.
    """
    assert isinstance(action, EnableLinger)
    await tx.inventory.change(tx.workload, lingering=True)
    await tx.host.logins.set_linger(tx.user(), True, timeout=CALL_TIMEOUT)  # noqa: FBT003


async def disable_linger(action: Action, tx: Transaction) -> None:
    """Disable lingering."""
    assert isinstance(action, DisableLinger)
    await tx.host.logins.set_linger(tx.user(), False, timeout=CALL_TIMEOUT)  # noqa: FBT003
    await tx.inventory.change(tx.workload, lingering=False)


async def start(action: Action, tx: Transaction) -> None:
    """Start the manager and connect to its bus.

    logind may have queued the same job for a lingering user. StartUnit then joins that job, so awaiting ours awaits
    both.
    """
    assert isinstance(action, StartManager)
    account = tx.user()
    unit = manager_unit(account.uid)
    down = tx.manager_is_down()
    result = await tx.unless_superseded(
        lambda: run_job(tx.host.system, Verb.START, unit, timeout=MANAGER_TIMEOUT)
    )
    if not result.done:
        raise TemporaryError(
            f"the user manager of {account.name} did not start: the job of {unit} ended with {result.result}",
            reason="user-manager-unavailable",
            hint=f"systemctl status {unit}; journalctl -u {unit}",
            wakes_on=frozenset({FactKey(PlatformFact.UNIT, unit)}),
        )
    if down:
        tx.inventory.reloaded(tx.workload)
    await tx.host.user_managers.connect(account, timeout=CALL_TIMEOUT)


async def stop(action: Action, tx: Transaction) -> None:
    """Stop the manager, which stops every unit in it."""
    assert isinstance(action, StopManager)
    unit = manager_unit(tx.user().uid)
    result = await run_job(tx.host.system, Verb.STOP, unit, timeout=MANAGER_TIMEOUT)
    if not result.done:
        raise TemporaryError(f"{unit} did not stop: its job ended with {result.result}", reason="stop-failed")
    tx.inventory.reloaded(tx.workload)
    await tx.host.user_managers.disconnect(tx.workload)


async def reload(action: Action, tx: Transaction) -> None:
    """daemon-reload, then read every unit again."""
    assert isinstance(action, Reload)
    manager = await tx.host.user_managers.connect(tx.user(), timeout=CALL_TIMEOUT)
    tx.reloads += 1
    # Also if an earlier run, or an earlier daemon process, wrote the files and got no further.
    tx.rewritten |= tx.workload in tx.inventory.records.unloaded
    await manager.reload(timeout=CALL_TIMEOUT)
    tx.inventory.reloaded(tx.workload)
    await tx.host.user_managers.refresh(tx.workload)
    for key, value in tx.facts.items(PlatformFact.UNIT, tx.workload):
        state = as_unit(value)
        if state is not None:
            tx.invocations[key.name] = state.invocation
