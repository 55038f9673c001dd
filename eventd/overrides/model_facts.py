"""Facts about suspensions and rollbacks: their kinds, and what their values are."""

from __future__ import annotations

from eventd.kernel.model.facts import FactKind


class OverrideFact(FactKind):
    """Facts about suspensions and rollbacks; the comments say what scope, name and value are."""

    SUSPENSION = "suspension"  # name: workload, "" for all; value: str, who suspended it and why
