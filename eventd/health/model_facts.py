"""Facts about the health of workloads: their kinds and values."""

from __future__ import annotations

from eventd.kernel.model.facts import FactKind


class HealthFact(FactKind):
    """Facts about the health of workloads; the comments describe scope, name and value."""

    CONTAINER = "container"  # scope: workload; name: container; value: str, its health according to podman
