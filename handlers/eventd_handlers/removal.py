"""A workload that left the repository: its account and its data are kept."""

from __future__ import annotations

from eventd.kernel.model.action import Action
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import PlatformFact
from eventd.removal.model_actions import Orphan
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.model_records import Ownership

PROCESSES_TIMEOUT = 30.0
"""Seconds for killed processes to end."""


async def orphan(action: Action, tx: Transaction) -> None:
    """Kill its remaining processes, and record that the workload is gone and its account is retained.

    Its manager and all units are down by now. Other processes with its ids have left the manager's cgroups, or were
    started from outside. They are not killed if a person is logged in, or if eventd did not create the account: they
    may be that person's.
    """
    assert isinstance(action, Orphan)
    record, account = tx.inventory.records.workloads.get(tx.workload), tx.account
    ours = record is not None and record.ownership is Ownership.CREATED
    if ours and account is not None and not tx.facts.get(FactKey(PlatformFact.SESSIONS, tx.workload)):
        await tx.host.removal.end_processes(account, timeout=PROCESSES_TIMEOUT)
    for unit in list(tx.inventory.records.units.get(tx.workload, {})):
        await tx.inventory.unit(tx.workload, unit, None)
    await tx.inventory.change(tx.workload, retained=True, verified_digest="", verified_commit="")
