"""The domain gates: what it adds to eventd."""

from __future__ import annotations

from eventd.gates.model_events import GateEvent, GateOrigin
from eventd.gates.model_facts import GateFact
from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd_policies.gates import gates

DOMAIN = Domain(
    name="gates",
    facts=(GateFact,),
    events=(GateEvent,),
    origins=(GateOrigin,),
    policies=(PolicyRow(Stage.GATE, lambda _host: gates),),
)
