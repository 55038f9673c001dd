"""The domain compose: what it adds to eventd."""

from __future__ import annotations

from eventd.compose.settings import TABLES, Compose
from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd_policies.compose_provider import provider

DOMAIN = Domain(
    name="compose",
    policies=(PolicyRow(Stage.CONDITION, lambda host: provider(host.settings.table(Compose).provider)),),
    settings=TABLES,
)
