"""The domain storage: what it adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd.storage import routes as routes_storage
from eventd.storage.model_action_table import ACTIONS
from eventd.storage.model_events import StorageEvent
from eventd.storage.model_facts import StorageFact
from eventd.storage.settings import TABLES
from eventd_policies.storage_placement import placement

DOMAIN = Domain(
    name="storage",
    facts=(StorageFact,),
    events=(StorageEvent,),
    actions=ACTIONS,
    policies=(PolicyRow(Stage.CONDITION, lambda _host: placement),),
    routes=routes_storage.ROUTES,
    settings=TABLES,
)
