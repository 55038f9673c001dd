"""The domain workloads: what it adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd.workloads import routes as routes_restart
from eventd.workloads.model_action_table import ACTIONS
from eventd.workloads.model_events import WorkloadEvent
from eventd.workloads.model_facts import WorkloadFact
from eventd_policies.workloads_deleting import deleting
from eventd_policies.workloads_renames import renames

DOMAIN = Domain(
    name="workloads",
    facts=(WorkloadFact,),
    events=(WorkloadEvent,),
    actions=ACTIONS,
    policies=(
        PolicyRow(Stage.PASSING, lambda _host: renames),
        PolicyRow(Stage.PASSING, lambda _host: deleting),
    ),
    routes=routes_restart.ROUTES,
)
