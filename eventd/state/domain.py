"""The domain state: what it adds to eventd."""

from __future__ import annotations

from eventd.api import routes_recovery
from eventd.kernel.domain import Domain

DOMAIN = Domain(
    name="state",
    routes=routes_recovery.ROUTES,
)
