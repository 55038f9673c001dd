"""Resets a damaged podman store: one file is moved aside, as the account, and the account's units start again.

It requires an approval, which it uses up, and still checks for itself: if the account or the damage is a different one,
or podman works again, it does nothing. Nothing is deleted: the file is renamed in its folder, with the run in its name.
"""

from __future__ import annotations

from eventd.containers.model_actions import ResetStore
from eventd.containers.model_events import ContainerEvent
from eventd.containers.model_facts import ContainerFact
from eventd.containers.model_podman_damage import damage
from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.kernel.model.events import KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import PlatformFact
from eventd.platform.systemd.model_user_manager import manager_unit
from eventd.platform.systemd.ports import Verb
from eventd.workloads.controller_transaction import Transaction
from eventd_handlers.jobs import run_job
from eventd_handlers.managers import MANAGER_TIMEOUT


async def reset_store(action: Action, tx: Transaction) -> None:
    """Move the damaged file aside and stop the account's manager; the next plan starts it again."""
    assert isinstance(action, ResetStore)
    name = action.account
    account = await tx.host.accounts.lookup(name)
    if account is None or (account.uid, account.home) != (action.uid, action.home):
        raise PermanentError(
            f"the account {name} is not the one whose reset was approved", reason="account-changed"
        )
    if tx.facts.get(FactKey(PlatformFact.SESSIONS, name)):
        raise TemporaryError(
            f"somebody is logged in as {name}",
            reason="logged-in",
            hint=f"loginctl list-sessions; the reset continues when {name} has logged out",
            wakes_on=frozenset({FactKey(PlatformFact.SESSIONS, name)}),
        )
    found = damage(await tx.host.images.complaint(account), account.home)
    if found is not None:
        if (found.part, found.path) != (action.damage.part, action.damage.path):
            raise PermanentError(
                f"the damage is no longer the one that was approved: {found.title}",
                reason="damage-changed",
                hint="eventctl approvals lists the new request",
            )
        await tx.host.images.set_aside(account, found.path, f"{found.path}.damaged-{tx.run}")
    # podman no longer knows the running containers, so they are ended with the manager, like everything of the account.
    unit = manager_unit(account.uid)
    result = await run_job(tx.host.system, Verb.STOP, unit, timeout=MANAGER_TIMEOUT)
    # The workload's own plan may start the manager as soon as it is down, which cancels the rest of the job.
    if not result.done and result.result != "canceled":
        raise TemporaryError(f"{unit} did not stop: its job ended with {result.result}", reason="stop-failed")
    await tx.host.user_managers.disconnect(name)
    tx.emit(
        KernelOrigin.DAEMON,
        ContainerEvent.STORE_DAMAGED,
        name,
        scope=name,
        attributes={"damaged": False, "path": action.damage.path},
        facts=[(FactKey(ContainerFact.DAMAGE, name), None)],
    )
