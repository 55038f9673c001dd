"""Facts about volumes: their kinds and values."""

from __future__ import annotations

from eventd.kernel.model.facts import FactKind


class StorageFact(FactKind):
    """Facts about volumes. The comments give scope, name and value."""

    VOLUME = "volume"  # name: of storage.toml; value: bool, mounted and found to be the right one
    STOPPED = (
        "stopped"  # name: workload; value: frozenset of units that a lost volume stopped, to be started again
    )
