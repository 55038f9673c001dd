"""What the domain `approvals` adds to eventd."""

from __future__ import annotations

from eventd.approvals import routes as routes_approvals
from eventd.approvals.documents_metrics import families
from eventd.approvals.model_events import ApprovalEvent
from eventd.approvals.model_facts import ApprovalFact
from eventd.approvals.settings import TABLES
from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd_policies.approvals_reversibility import reversibility

DOMAIN = Domain(
    name="approvals",
    facts=(ApprovalFact,),
    events=(ApprovalEvent,),
    policies=(PolicyRow(Stage.SIGNATURE, lambda host: reversibility(host.actions)),),
    routes=routes_approvals.ROUTES,
    settings=TABLES,
    metrics=(families,),
)
