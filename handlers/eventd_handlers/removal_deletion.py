"""Deletes an account with its data, in stages. Each stage is recorded before it begins.

It requires an approval, which it uses up (`kernel.steps`), and still checks for itself. Whatever a plan or a policy
says, it leaves an account alone if no record says that eventd created it, if its uid has changed, if a person uses it,
or if its home is outside the folder of homes. If it is killed at any point, it continues from the recorded stage.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from eventd.desired.model import RemoveData
from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.kernel.model.events import KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_events import PlatformEvent
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.systemd.model_user_manager import manager_unit
from eventd.platform.systemd.ports import Verb
from eventd.removal.model import Removal, Stage
from eventd.removal.model_actions import DeleteAccount
from eventd.removal.model_events import RemovalEvent
from eventd.removal.model_facts import RemovalFact
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.model_records import Ownership
from eventd_handlers.jobs import run_job
from eventd_handlers.managers import CALL_TIMEOUT, MANAGER_TIMEOUT
from eventd_handlers.removal import PROCESSES_TIMEOUT

log = logging.getLogger(__name__)
HOME_TIMEOUT = 600.0
"""Seconds for deleting a home in one attempt; the next attempt continues."""
SWEEP_TIMEOUT = 60.0
"""Seconds for searching temporary folders and spools."""
DATABASE_TIMEOUT = 30.0
"""Seconds for userdel(8)."""


async def delete_account(action: Action, tx: Transaction) -> None:
    """Delete the account, or continue an interrupted deletion."""
    assert isinstance(action, DeleteAccount)
    async with tx.inventory.removing:
        await _delete(action, tx)


async def _delete(action: DeleteAccount, tx: Transaction) -> None:
    row = tx.inventory.removals.get(action.account)
    if row is None or (row.stage is Stage.NONE and row.data is not RemoveData.DELETE):
        # The request was withdrawn after the approval, and nothing has been done yet.
        raise PermanentError(f"no deletion of {action.account} was requested", reason="not-asked-for")
    account = await tx.host.accounts.lookup(action.account)
    if row.stage is Stage.NONE:
        account = await _check(action, account, tx)
        row = replace(row, stage=Stage.BEGUN, uid=account.uid, home=account.home, made_by=action.made_by)
        await _stage(action, row, tx)
    if row.stage is Stage.BEGUN:
        account = await _check(action, account, tx)
        await _stop(account, tx)
        await tx.host.removal.end_processes(account, timeout=PROCESSES_TIMEOUT)
        await tx.host.removal.discard_home(account, timeout=HOME_TIMEOUT)
        stays = [*await tx.host.removal.sweep(account, timeout=SWEEP_TIMEOUT), *_on_volumes(account, tx)]
        if stays:
            log.warning(
                "the account %s was deleted; some of its files were left behind: %s",
                action.account,
                ", ".join(stays),
            )
            tx.emit(
                KernelOrigin.DAEMON,
                RemovalEvent.LEFT_BEHIND,
                action.account,
                scope=action.account,
                attributes={"uid": account.uid, "stays": ", ".join(stays)},
            )
        row = replace(row, stage=Stage.ACCOUNT)
        await _stage(action, row, tx)
    if row.stage is Stage.ACCOUNT:
        if account is not None:
            # If we crashed after userdel, somebody may have created an account of that name since.
            await _check(action, account, tx)
            await tx.host.removal.delete(account, timeout=DATABASE_TIMEOUT)
        row = replace(row, stage=Stage.RECORDS)
        await _stage(action, row, tx)
    await _forget(action, tx)


def _on_volumes(account: Account, tx: Transaction) -> list[str]:
    """Return the account's folders on volumes: their data is not deleted with the account."""
    folders = tx.inventory.folders.rows
    return sorted(path for path, row in folders.items() if row.uid == account.uid and path != account.home)


async def _check(action: DeleteAccount, account: Account | None, tx: Transaction) -> Account:
    """Return the account if it is the one that eventd created and whose deletion was approved.

    Raises PermanentError(reason="no-account" | "not-ours" | "account-changed" | "protected"), TemporaryError(
    reason="logged-in").
    """
    name = action.account
    record = tx.inventory.records.workloads.get(name)
    if account is None:
        raise PermanentError(
            f"the account {name} does not exist", reason="no-account", hint=f"eventctl retained {name}"
        )
    if record is None or record.ownership is not Ownership.CREATED:
        raise PermanentError(f"eventd has no record that it created the account {name}", reason="not-ours")
    if (account.uid, account.home, record.uid, record.run) != (
        action.uid,
        action.home,
        action.uid,
        action.made_by,
    ):
        raise PermanentError(
            f"the account {name} is not the one whose deletion was approved", reason="account-changed"
        )
    if refusal := await tx.host.removal.refusal(account):
        raise PermanentError(
            f"the account {name} is not deleted: {refusal}",
            reason="protected",
            hint="make sure that nobody needs it, then delete it by hand",
            wakes_on=frozenset({FactKey(PlatformFact.ACCOUNT, name)}),
        )
    sessions = tx.facts.get(FactKey(PlatformFact.SESSIONS, name))
    if sessions:
        raise TemporaryError(
            f"somebody is logged in as {name}",
            reason="logged-in",
            hint=f"loginctl list-sessions; the deletion continues when {name} has logged out",
            wakes_on=frozenset({FactKey(PlatformFact.SESSIONS, name)}),
        )
    return account


async def _stop(account: Account, tx: Transaction) -> None:
    """Disable lingering and stop the manager; both do nothing if already done."""
    await tx.host.logins.set_linger(account, False, timeout=CALL_TIMEOUT)  # noqa: FBT003
    unit = manager_unit(account.uid)
    result = await run_job(tx.host.system, Verb.STOP, unit, timeout=MANAGER_TIMEOUT)
    if not result.done:
        raise TemporaryError(f"{unit} did not stop: its job ended with {result.result}", reason="stop-failed")
    await tx.host.user_managers.disconnect(account.name)


async def _stage(action: DeleteAccount, row: Removal, tx: Transaction) -> None:
    await tx.inventory.removals.put(action.account, row)
    tx.facts.set(FactKey(RemovalFact.DELETION, action.account), True)  # noqa: FBT003
    tx.progress(f"{action.verb} {action.account}", "begin", row.stage.value)


async def _forget(action: DeleteAccount, tx: Transaction) -> None:
    """Delete the records, and the record of the deletion last: until then, the deletion is continued."""
    name = action.account
    for folder in tx.layout.folders(action.uid):
        await tx.host.file_watch.unwatch(folder)
    await tx.inventory.forget(name)
    await tx.conclude([(tx.inventory.removals, name, None)])
    tx.emit(
        KernelOrigin.DAEMON,
        PlatformEvent.ACCOUNT_CHANGED,
        name,
        scope=name,
        facts=[(FactKey(PlatformFact.ACCOUNT, name), None), (FactKey(RemovalFact.DELETION, name), None)],
    )
