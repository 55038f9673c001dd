"""Facts about how well workloads are: their kinds, and what their values are."""

from __future__ import annotations

from eventd.kernel.model.facts import FactKind


class HealthFact(FactKind):
    """Facts about how well workloads are; the comments say what scope, name and value are."""

    CONTAINER = "container"  # scope: workload; name: container; value: str, its health as podman says
