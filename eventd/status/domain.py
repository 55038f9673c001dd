"""The domain status: what it adds to eventd."""

from __future__ import annotations

from eventd.api import routes_events, routes_runs, routes_state
from eventd.kernel.domain import Domain

DOMAIN = Domain(
    name="status",
    routes=(*routes_state.ROUTES, *routes_runs.ROUTES, *routes_events.ROUTES),
)
