"""What the domain `overrides` adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd.overrides import routes as routes_overrides
from eventd.overrides.documents_metrics import families
from eventd.overrides.model_events import OverrideEvent
from eventd.overrides.model_facts import OverrideFact
from eventd_policies.overrides_suspended import suspended

DOMAIN = Domain(
    name="overrides",
    facts=(OverrideFact,),
    events=(OverrideEvent,),
    policies=(PolicyRow(Stage.OVERRIDE, lambda _host: suspended),),
    routes=routes_overrides.ROUTES,
    metrics=(families,),
)
