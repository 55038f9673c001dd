"""The domain containers: what it adds to eventd."""

from __future__ import annotations

from eventd.containers.model_action_table import ACTIONS
from eventd.containers.model_actions import ResetStore
from eventd.containers.model_events import ContainerEvent
from eventd.containers.model_facts import ContainerFact
from eventd.kernel.domain import Domain
from eventd_handlers import containers_stores as stores

DOMAIN = Domain(
    name="containers",
    facts=(ContainerFact,),
    events=(ContainerEvent,),
    actions=ACTIONS,
    handlers={ResetStore: stores.reset_store},
)
