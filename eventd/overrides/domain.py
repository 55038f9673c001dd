"""The domain overrides: what it adds to eventd."""

from __future__ import annotations

from eventd.api import routes_orders
from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd.overrides.model_events import OverrideEvent
from eventd.overrides.model_facts import OverrideFact
from eventd_policies.suspended import suspended

DOMAIN = Domain(
    name="overrides",
    facts=(OverrideFact,),
    events=(OverrideEvent,),
    policies=(PolicyRow(Stage.OVERRIDE, lambda _host: suspended),),
    routes=routes_orders.ROUTES,
)
