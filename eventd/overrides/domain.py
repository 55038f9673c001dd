"""The domain overrides: what it adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain
from eventd.overrides.model_events import OverrideEvent
from eventd.overrides.model_facts import OverrideFact

DOMAIN = Domain(name="overrides", facts=(OverrideFact,), events=(OverrideEvent,))
