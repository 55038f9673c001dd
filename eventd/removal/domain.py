"""What the domain `removal` adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd.removal import routes as routes_retained
from eventd.removal.model_action_table import ACTIONS
from eventd.removal.model_actions import DeleteAccount, Orphan, RenameAccount
from eventd.removal.model_events import RemovalEvent
from eventd.removal.model_facts import RemovalFact
from eventd_handlers import removal
from eventd_handlers import removal_deletion as deletion
from eventd_handlers import removal_renaming as renaming
from eventd_policies.removal_deleting import deleting
from eventd_policies.removal_renames import renames

DOMAIN = Domain(
    name="removal",
    facts=(RemovalFact,),
    events=(RemovalEvent,),
    actions=ACTIONS,
    policies=(
        PolicyRow(Stage.PASSING, lambda _host: renames),
        PolicyRow(Stage.PASSING, lambda _host: deleting),
    ),
    routes=routes_retained.ROUTES,
    handlers={
        Orphan: removal.orphan,
        RenameAccount: renaming.rename_account,
        DeleteAccount: deletion.delete_account,
    },
)
