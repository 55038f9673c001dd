"""What the domain `audit` adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.audit import routes as routes_audit
from eventd.audit.controller_alarms import Alarms, AuditAspect
from eventd.audit.documents_metrics import families
from eventd.audit.model_events import AuditEvent
from eventd.audit.model_facts import AuditFact
from eventd.audit.settings import TABLES
from eventd.audit.source import ProvenanceSource
from eventd.kernel.domain import Built, Context, Domain, Source
from eventd.managers.source import UserManagersSource
from eventd.platform.inotify import Inotify
from eventd.workloads.controller_planner import Planner


def connect(context: Context) -> Iterable[Source]:
    """Watch where the units of workloads come from."""
    if not context.local:
        return ()  # the homes of a simulated host's accounts are not where its managers say
    source = ProvenanceSource(
        context.emit,
        context.facts,
        context.need(UserManagersSource),
        context.need(Inotify),
        context.settings.paths.quadlets,
    )
    context.share(ProvenanceSource, source)
    return (Source("provenance", source.run, invalidate=source.invalidate),)


def build(context: Context) -> Built:
    """Make what audits a workload whenever it is assessed."""
    alarms = context.share(Alarms, Alarms(context.emit))
    return Built(controllers=(AuditAspect(context.need(Planner), alarms),))


DOMAIN = Domain(
    name="audit",
    facts=(AuditFact,),
    events=(AuditEvent,),
    routes=routes_audit.ROUTES,
    settings=TABLES,
    metrics=(families,),
    connect=connect,
    build=build,
)
