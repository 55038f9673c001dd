"""The platform, as far as it has kinds of facts and events: what it adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import PlatformFact

DOMAIN = Domain(name="platform", facts=(PlatformFact,), events=(PlatformEvent,), origins=(PlatformOrigin,))
