"""The accounts domain: what it adds to eventd."""

from __future__ import annotations

from eventd.accounts.model_action_table import ACTIONS
from eventd.configured import protection_of
from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd.workloads.model_actions import CompleteAccount, CreateAccount, DeleteAccount, RenameAccount
from eventd_handlers import accounts
from eventd_handlers import accounts_deletion as deletion
from eventd_handlers import workloads_renaming as renaming
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
        RenameAccount: renaming.rename_account,
        DeleteAccount: deletion.delete_account,
    },
)
