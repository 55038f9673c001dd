"""The domain containers: what it adds to eventd."""

from __future__ import annotations

from eventd.approvals.controller import Approvals
from eventd.containers.controller_store_resets import StoreDamage, StoreResets
from eventd.containers.model_action_table import ACTIONS
from eventd.containers.model_actions import ResetStore
from eventd.containers.model_events import ContainerEvent
from eventd.containers.model_facts import ContainerFact
from eventd.desired.controller_active import ActiveRevision
from eventd.kernel.domain import Built, Context, Domain
from eventd.state.controller_inventory import Inventory
from eventd_handlers import containers_stores as stores


def build(context: Context) -> Built:
    """Make the controller of damaged stores, and what finds them."""
    resets = StoreResets(context.need(Inventory), context.need(Approvals))
    return Built(controllers=(StoreDamage(context.need(ActiveRevision), resets), resets))


DOMAIN = Domain(
    name="containers",
    facts=(ContainerFact,),
    events=(ContainerEvent,),
    actions=ACTIONS,
    handlers={ResetStore: stores.reset_store},
    build=build,
)
