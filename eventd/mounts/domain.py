"""The mounts domain: what it adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain
from eventd.mounts.model_events import MountEvent, MountOrigin
from eventd.mounts.model_facts import MountFact

DOMAIN = Domain(name="mounts", facts=(MountFact,), events=(MountEvent,), origins=(MountOrigin,))
