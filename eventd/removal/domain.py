"""What the domain `removal` adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.accounts.adapter import SystemAccounts
from eventd.accounts.adapter_removal import NoAccountRemoval, SystemAccountRemoval
from eventd.accounts.ports import AccountRemoval
from eventd.approvals.controller import Approvals
from eventd.kernel.domain import Built, Context, Domain, PolicyRow, Source, Stage
from eventd.platform.processes.unit_process import Processes
from eventd.removal import routes as routes_retained
from eventd.removal.controller import Removals
from eventd.removal.controller_renames import Renames
from eventd.removal.model_action_table import ACTIONS
from eventd.removal.model_actions import DeleteAccount, Orphan, RenameAccount
from eventd.removal.model_events import RemovalEvent
from eventd.removal.model_facts import RemovalFact
from eventd.state.controller_inventory import Inventory
from eventd.storage.adapter_mount_points import HelperMountPoints
from eventd_handlers import removal
from eventd_handlers import removal_deletion as deletion
from eventd_handlers import removal_renaming as renaming
from eventd_policies.removal_deleting import deleting
from eventd_policies.removal_renames import renames


def connect(context: Context) -> Iterable[Source]:
    """Share what removes accounts."""
    removal: AccountRemoval = NoAccountRemoval()
    system = context.find(SystemAccounts)
    if system is not None:
        removal = SystemAccountRemoval(
            system.writing,
            etc=context.etc,
            processes=context.need(Processes),
            note=system.note,
            sweeper=context.need(HelperMountPoints).sweep,
        )
    context.share(AccountRemoval, removal)
    return ()


def build(context: Context) -> Built:
    """Make the controllers of removed and of renamed workloads."""
    inventory = context.need(Inventory)
    removals = Removals(inventory, context.need(Approvals), wall=context.wall)
    context.share(Removals, removals)
    return Built(controllers=(removals, Renames(inventory, removals)))


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
    connect=connect,
    build=build,
)
