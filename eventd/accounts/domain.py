"""The accounts domain: what it adds to eventd."""

from __future__ import annotations

from eventd.accounts.model_action_table import ACTIONS
from eventd.accounts.model_actions import CompleteAccount, CreateAccount
from eventd.accounts.model_facts import AccountFact
from eventd.accounts.source_deserted import DesertedManagers
from eventd.configured import protection_of
from eventd.kernel.domain import Built, Context, Domain, PolicyRow, Source, Stage
from eventd_handlers import accounts
from eventd_policies.accounts_protected import protected


def _build(context: Context) -> Built:
    deserted = DesertedManagers(context.emit, context.facts, context.ports.accounts)
    return Built(sources=(Source("former-accounts", deserted.run, reread=deserted.reread),))


DOMAIN = Domain(
    name="accounts",
    facts=(AccountFact,),
    build=_build,
    actions=ACTIONS,
    policies=(
        PolicyRow(Stage.OWNERSHIP, lambda host: protected(protection_of(host.settings, root=host.root))),
    ),
    handlers={
        CreateAccount: accounts.create,
        CompleteAccount: accounts.complete,
    },
)
