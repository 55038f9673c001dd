"""The state domain: what it adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain
from eventd.state import routes as routes_recovery

DOMAIN = Domain(
    name="state",
    routes=routes_recovery.ROUTES,
)
