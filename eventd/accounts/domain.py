"""What the domain `accounts` adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.accounts.adapter import SystemAccounts
from eventd.accounts.adapter_signs import SystemAccountSigns
from eventd.accounts.adapter_used_ids import UsedIds
from eventd.accounts.model_action_table import ACTIONS
from eventd.accounts.model_actions import CompleteAccount, CreateAccount
from eventd.accounts.model_facts import AccountFact
from eventd.accounts.ports import Accounts, AccountSigns
from eventd.accounts.source import AccountSource
from eventd.accounts.source_deserted import DesertedManagers
from eventd.configured import protection_of
from eventd.kernel.domain import Context, Domain, PolicyRow, Source, Stage
from eventd.platform.inotify import Inotify
from eventd.platform.processes.unit_process import Processes
from eventd_handlers import accounts
from eventd_policies.accounts_protected import protected


def connect(context: Context) -> Iterable[Source]:
    """Share the accounts, and keep their facts."""
    if context.local:
        processes = context.need(Processes)
        system = SystemAccounts(processes=processes, used=UsedIds(f"{context.settings.paths.state}/ids"))
        context.share(SystemAccounts, system)
        context.share(Accounts, system)
        context.share(AccountSigns, SystemAccountSigns(etc=context.etc, processes=processes))
    source = AccountSource(context.need(Inotify), context.emit, context.need(Accounts), etc=context.etc)
    context.share(AccountSource, source)
    deserted = DesertedManagers(context.emit, context.facts, context.need(Accounts))
    return (
        Source("accounts", source.run, reread=source.reread),
        Source("former-accounts", deserted.run, reread=deserted.reread),
    )


DOMAIN = Domain(
    name="accounts",
    facts=(AccountFact,),
    connect=connect,
    actions=ACTIONS,
    policies=(
        PolicyRow(Stage.OWNERSHIP, lambda host: protected(protection_of(host.settings, root=host.root))),
    ),
    handlers={
        CreateAccount: accounts.create,
        CompleteAccount: accounts.complete,
    },
)
