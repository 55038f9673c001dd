"""The domain health: what it adds to eventd."""

from __future__ import annotations

from eventd.health.documents_metrics import families
from eventd.health.model_action_table import ACTIONS
from eventd.health.model_actions import Verify
from eventd.health.model_events import HealthEvent, HealthOrigin
from eventd.health.model_facts import HealthFact
from eventd.kernel.domain import Domain
from eventd_handlers import health_verify as verify

DOMAIN = Domain(
    name="health",
    facts=(HealthFact,),
    events=(HealthEvent,),
    origins=(HealthOrigin,),
    actions=ACTIONS,
    handlers={Verify: verify.verify},
    metrics=(families,),
)
