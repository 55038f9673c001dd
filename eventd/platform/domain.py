"""What the platform adds to eventd: its kinds of facts and events, and the policy about sources."""

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
