"""Accounts: create the Linux user of a workload. `removal_deletion` deletes one, because an account holds data."""

from __future__ import annotations

from eventd.accounts.model_actions import CompleteAccount, CreateAccount
from eventd.adoption.model_actions import AdoptAccount, InspectStore
from eventd.adoption.model_facts import AdoptionFact, StoreState
from eventd.health.model_events import HealthOrigin
from eventd.kernel.model.action import Action
from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError
from eventd.kernel.model.events import KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_events import PlatformEvent
from eventd.platform.model_facts import Account, PlatformFact
from eventd.workloads.controller_transaction import Transaction

TIMEOUT = 30.0
"""Seconds for useradd(8), which waits for other writers of /etc/passwd."""


async def create(action: Action, tx: Transaction) -> None:
    """Create the account, record that eventd created it, and watch its folders."""
    assert isinstance(action, CreateAccount)
    try:
        account = await tx.host.accounts.create(action.workload, timeout=TIMEOUT)
    except EventdError as error:
        # The intent was journalled when the account did not exist. If it exists now, an interrupted useradd created it:
        # without a record it would be refused for ever.
        made = await tx.host.accounts.lookup(action.workload)
        if made is not None and error.reason != "account-exists":
            await tx.inventory.created(action.workload, made.uid, tx.run)
            await tx.inventory.made([made.home], made.uid, tx.run)
            await _known(made, tx)
            await tx.host.accounts.complete(made, timeout=TIMEOUT)
        raise
    await tx.inventory.created(action.workload, account.uid, tx.run)
    await tx.inventory.made([account.home], account.uid, tx.run)
    await _known(account, tx)


async def adopt(action: Action, tx: Transaction) -> None:
    """Adopt an account that root has handed over: record and watch it, and change nothing."""
    assert isinstance(action, AdoptAccount)
    account = await tx.host.accounts.lookup(action.workload)
    if account is None or account.uid != action.uid:
        raise PermanentError(
            f"the account {action.workload} no longer has the uid {action.uid} that was handed over",
            reason="account-changed",
            hint=f"to adopt the present account: eventctl adopt {action.workload}",
        )
    await tx.host.accounts.note(account)
    await tx.inventory.adopted(action.workload, account.uid, tx.run)
    await _known(account, tx)


async def inspect_store(action: Action, tx: Transaction) -> None:
    """List the volumes of an adopted account. If they cannot be listed, fail: they may hold data."""
    assert isinstance(action, InspectStore)
    found = await tx.host.account_inspector.inspect(tx.user(), timeout=TIMEOUT)
    if found.problem:
        raise TemporaryError(
            f"cannot list the volumes of {action.workload}: {found.problem}",
            reason="store-unknown",
            hint=f"podman volume ls in eventctl shell {action.workload}",
        )
    key = FactKey(AdoptionFact.STORE, action.workload)
    tx.emit(
        HealthOrigin.PODMAN,
        KernelEvent.READ,
        action.workload,
        scope=action.workload,
        attributes={"volumes": len(found.volumes)},
        facts=[(key, StoreState(found.volumes))],
    )


async def complete(action: Action, tx: Transaction) -> None:
    """Add missing subordinate ids to an account that eventd created."""
    assert isinstance(action, CompleteAccount)
    await _known(await tx.host.accounts.complete(tx.user(), timeout=TIMEOUT), tx)


async def _known(account: Account, tx: Transaction) -> None:
    tx.account = account
    await tx.host.user_managers.replace(account)
    for folder in tx.layout.folders(account.uid):
        await tx.host.file_watch.watch(folder)
    tx.emit(
        KernelOrigin.DAEMON,
        PlatformEvent.ACCOUNT_CHANGED,
        account.name,
        scope=account.name,
        facts=[(FactKey(PlatformFact.ACCOUNT, account.name), account)],
    )
