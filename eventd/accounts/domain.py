"""The accounts domain: what it adds to eventd."""

from __future__ import annotations

from eventd.accounts.model_action_table import ACTIONS
from eventd.accounts.model_actions import CompleteAccount, CreateAccount
from eventd.configured import protection_of
from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd_handlers import accounts
from eventd_policies.accounts_protected import protected

DOMAIN = Domain(
    name="accounts",
    actions=ACTIONS,
    policies=(
        PolicyRow(Stage.OWNERSHIP, lambda host: protected(protection_of(host.settings, root=host.root))),
    ),
    handlers={
        CreateAccount: accounts.create,
        CompleteAccount: accounts.complete,
    },
)
