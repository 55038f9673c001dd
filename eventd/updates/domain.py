"""What the domain `updates` adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain
from eventd.updates import routes as routes_updates
from eventd.updates.documents_metrics import families
from eventd.updates.model_action_table import ACTIONS
from eventd.updates.model_actions import PullImages, TagImages
from eventd.updates.model_events import UpdateEvent
from eventd.updates.model_facts import UpdateFact
from eventd.updates.settings import TABLES
from eventd_handlers import updates as images

DOMAIN = Domain(
    name="updates",
    facts=(UpdateFact,),
    events=(UpdateEvent,),
    actions=ACTIONS,
    routes=routes_updates.ROUTES,
    settings=TABLES,
    handlers={PullImages: images.pull, TagImages: images.tag},
    metrics=(families,),
)
