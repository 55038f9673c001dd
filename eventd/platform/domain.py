"""The platform, as far as it has kinds of facts and events: what it adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import PlatformFact
from eventd_policies.sources import sources

DOMAIN = Domain(
    name="platform",
    facts=(PlatformFact,),
    events=(PlatformEvent,),
    origins=(PlatformOrigin,),
    policies=(PolicyRow(Stage.KNOWN, lambda _host: sources),),
)
