"""The domain workloads: what it adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain
from eventd.workloads.model_action_table import ACTIONS
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import WorkloadFact

DOMAIN = Domain(name="workloads", facts=(WorkloadFact,), events=(WorkloadEvent,), actions=ACTIONS)
