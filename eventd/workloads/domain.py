"""What the domain `workloads` adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain
from eventd.workloads import routes as routes_restart
from eventd.workloads.model_action_table import ACTIONS
from eventd.workloads.model_actions import RecordFiles, RestartUnit, StartUnit, StopUnit
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import WorkloadFact
from eventd_handlers import workloads_units as units

DOMAIN = Domain(
    name="workloads",
    facts=(WorkloadFact,),
    events=(WorkloadEvent,),
    actions=ACTIONS,
    routes=routes_restart.ROUTES,
    handlers={
        StopUnit: units.stop,
        StartUnit: units.start,
        RestartUnit: units.restart,
        RecordFiles: units.record_files,
    },
)
