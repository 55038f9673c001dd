"""Facts about the podman stores of accounts: their kinds, and what their values are."""

from __future__ import annotations

from eventd.kernel.model.facts import FactKind


class ContainerFact(FactKind):
    """Facts about the podman stores of accounts; the comments say what scope, name and value are."""

    DAMAGE = "damage"  # name: workload; value: Damage of its account's podman store, absent: none is known
