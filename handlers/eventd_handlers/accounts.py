"""Accounts: create the Linux user of a workload. Deleting is not here: an account bears data."""

from __future__ import annotations

from eventd.core.actions import Action, CreateAccount
from eventd.core.events import EventKind, Origin
from eventd.core.facts import FactKey, FactKind
from eventd.runtime.transaction import Transaction

TIMEOUT = 30.0
"""Seconds for useradd(8), which waits for other writers of /etc/passwd."""


async def create(action: Action, tx: Transaction) -> None:
    """Create the account, remember that it is ours, and watch its folders."""
    assert isinstance(action, CreateAccount)
    account = await tx.host.accounts.create(action.workload, timeout=TIMEOUT)
    await tx.ledger.created(action.workload, account.uid, tx.run)
    tx.account = account
    for folder in tx.layout.folders(account.uid):
        await tx.host.file_watch.watch(folder)
    tx.emit(
        Origin.DAEMON,
        EventKind.ACCOUNT_CHANGED,
        action.workload,
        scope=action.workload,
        facts=[(FactKey(FactKind.ACCOUNT, action.workload), account)],
    )
