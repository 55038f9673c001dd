"""Facts about the podman stores of accounts: their kinds and values."""

from __future__ import annotations

from eventd.kernel.model.facts import FactKind


class ContainerFact(FactKind):
    """Facts about the podman stores of accounts; the comments describe scope, name and value."""

    DAMAGE = "damage"  # name: workload; value: Damage of its account's podman store; absent if none is known
