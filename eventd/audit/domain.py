"""What the domain `audit` adds to eventd."""

from __future__ import annotations

from eventd.audit import routes as routes_audit
from eventd.audit.documents_metrics import families
from eventd.audit.model_events import AuditEvent
from eventd.audit.model_facts import AuditFact
from eventd.audit.settings import TABLES
from eventd.kernel.domain import Domain

DOMAIN = Domain(
    name="audit",
    facts=(AuditFact,),
    events=(AuditEvent,),
    routes=routes_audit.ROUTES,
    settings=TABLES,
    metrics=(families,),
)
