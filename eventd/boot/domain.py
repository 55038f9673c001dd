"""What the domain `boot` adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain

DOMAIN = Domain(
    name="boot",
)
