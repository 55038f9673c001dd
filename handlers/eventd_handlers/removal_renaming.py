"""Renames an account: first the account, then eventd's records, then the facts.

The intent is recorded first, so that after a crash it continues from the observed state. The home stays where it is:
podman's database contains its path, and podman refuses to work from another one.
"""

from __future__ import annotations

from dataclasses import replace

from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.kernel.model.events import KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_events import PlatformEvent
from eventd.platform.model_facts import Account, PlatformFact
from eventd.removal.model import Rename
from eventd.removal.model_actions import RenameAccount
from eventd.removal.model_facts import RemovalFact
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.model_records import Ownership

TIMEOUT = 60.0
"""Seconds for usermod(8) and groupmod(8), which wait for other writers."""


async def rename_account(action: Action, tx: Transaction) -> None:
    """Rename the account, or continue an interrupted rename."""
    assert isinstance(action, RenameAccount)
    inventory = tx.inventory
    row = inventory.renames.get(action.new)
    found = await tx.host.accounts.lookup(action.old)
    if row is None:
        found = await _check(action, found, tx)
        row = Rename(action.old, found.uid, found.subuid, found.subgid)
        await inventory.renames.put(action.new, row)
    now = found if found is not None and found.uid == row.uid else None
    now = now or await tx.host.accounts.lookup(action.new)
    if now is None or now.uid != row.uid:
        raise PermanentError(
            f"the account {action.old} (uid {row.uid}) is gone, and no account {action.new} has its uid",
            reason="no-account",
            hint=f"create it with useradd, or rename it by hand: usermod --login {action.new} {action.old}",
        )
    old = replace(now, name=action.old, subuid=row.subuid, subgid=row.subgid)
    account = await tx.host.accounts.rename(old, action.new, timeout=TIMEOUT)
    # After a crash in between they are not watched: at the start, no account had the recorded name.
    for folder in tx.layout.folders(account.uid):
        await tx.host.file_watch.watch(folder)
    record = inventory.records.workloads.get(action.old)
    if record is not None:
        # Write the new record, then delete the old: a crash in between leaves both, and the rename continues.
        await inventory.workload(
            replace(record, name=action.new, retained=False, verified_digest="", verified_commit="")
        )
        await inventory.forget(action.old)
    await tx.conclude([(inventory.removals, action.old, None), (inventory.renames, action.new, None)])
    tx.emit(
        KernelOrigin.DAEMON,
        PlatformEvent.ACCOUNT_CHANGED,
        action.new,
        scope=action.new,
        facts=[
            (FactKey(PlatformFact.ACCOUNT, action.old), None),
            (FactKey(PlatformFact.ACCOUNT, action.new), account),
            (FactKey(RemovalFact.RENAME, action.new), None),
        ],
    )


async def _check(action: RenameAccount, account: Account | None, tx: Transaction) -> Account:
    """Return the account if eventd created it and nobody uses it."""
    record = tx.inventory.records.workloads.get(action.old)
    if account is None or record is None or account.uid != record.uid or account.uid != action.uid:
        raise PermanentError(
            f"the account {action.old} is not the one that eventd created", reason="account-changed"
        )
    if record.ownership is not Ownership.CREATED:
        raise PermanentError(
            f"the account {action.old} was adopted, not created by eventd: it is not renamed",
            reason="not-ours",
            hint=f"rename it by hand and adopt it again: usermod --login {action.new} {action.old}",
        )
    if refusal := await tx.host.removal.refusal(account):
        raise PermanentError(
            f"the account {action.old} is not renamed: {refusal}",
            reason="protected",
            wakes_on=frozenset({FactKey(PlatformFact.ACCOUNT, action.old)}),
        )
    if await tx.host.accounts.lookup(action.new) is not None:
        raise PermanentError(
            f"the account {action.new} already exists",
            reason="account-exists",
            hint="give the workload another name, or remove the account if nobody needs it",
            wakes_on=frozenset({FactKey(PlatformFact.ACCOUNT, action.new)}),
        )
    if tx.facts.get(FactKey(PlatformFact.SESSIONS, action.old)):
        raise TemporaryError(
            f"somebody is logged in as {action.old}",
            reason="logged-in",
            wakes_on=frozenset({FactKey(PlatformFact.SESSIONS, action.old)}),
        )
    return account
