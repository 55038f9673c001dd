"""The domain compose: what it adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd_policies.compose_provider import provider

DOMAIN = Domain(
    name="compose",
    policies=(PolicyRow(Stage.CONDITION, lambda host: provider(host.settings.compose.provider)),),
)
