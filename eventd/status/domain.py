"""What the domain `status` adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain
from eventd.status import routes as routes_state
from eventd.status import routes_events, routes_runs

DOMAIN = Domain(
    name="status",
    routes=(*routes_state.ROUTES, *routes_runs.ROUTES, *routes_events.ROUTES),
)
