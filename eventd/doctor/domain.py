"""What the domain `doctor` adds to eventd."""

from __future__ import annotations

from eventd.kernel.domain import Domain

DOMAIN = Domain(
    name="doctor",
)
