"""The files domain: what it adds to eventd."""

from __future__ import annotations

from eventd.configured import layout_of
from eventd.kernel.domain import Domain, PolicyRow, Stage
from eventd_policies.files_ownership import Ownership

DOMAIN = Domain(
    name="files", policies=(PolicyRow(Stage.OWNERSHIP, lambda host: Ownership(layout_of(host.settings))),)
)
