"""What the domain `workloads` adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.desired.controller_active import ActiveRevision
from eventd.kernel.domain import Built, Context, Domain, Source
from eventd.platform.sock_diag import OpenPorts
from eventd.workloads import routes as routes_restart
from eventd.workloads.controller import NamedFilesAspect
from eventd.workloads.controller_planner import Planner
from eventd.workloads.model_action_table import ACTIONS
from eventd.workloads.model_actions import RecordFiles, RestartUnit, StartUnit, StopUnit
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import WorkloadFact
from eventd.workloads.ports import PortOwners
from eventd_handlers import workloads_units as units


def connect(context: Context) -> Iterable[Source]:
    """Share what lists the ports that programs listen on."""
    context.share(PortOwners, OpenPorts())
    return ()


def build(context: Context) -> Built:
    """Make what says which of the host's files a workload lacks; the engine makes the controller of workloads."""
    return Built(controllers=(NamedFilesAspect(context.need(ActiveRevision), context.need(Planner)),))


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
    connect=connect,
    build=build,
)
