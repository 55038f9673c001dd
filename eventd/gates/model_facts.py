"""Facts about probes: their kinds, and what their values are."""

from __future__ import annotations

from eventd.kernel.model.facts import FactKind


class GateFact(FactKind):
    """Facts about probes; the comments say what scope, name and value are."""

    PROBE = "probe"  # name: a tcp:, dns:, http: predicate's text; value: bool
