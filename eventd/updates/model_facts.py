"""Facts about images: their kinds, and what their values are."""

from __future__ import annotations

from eventd.kernel.model.facts import FactKind


class UpdateFact(FactKind):
    """Facts about images; the comments say what scope, name and value are."""

    IMAGE = "image"  # scope: workload; name: reference; value: bool, in the store of its account
