"""The repository domain: what it adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain
from eventd.repository import routes as routes_sync
from eventd.repository.documents_metrics import families
from eventd.repository.model_events import RepositoryEvent, RepositoryOrigin
from eventd.repository.model_facts import RepositoryFact

DOMAIN = Domain(
    name="repository",
    facts=(RepositoryFact,),
    events=(RepositoryEvent,),
    origins=(RepositoryOrigin,),
    routes=routes_sync.ROUTES,
    metrics=(families,),
)
