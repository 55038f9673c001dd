"""Facts about adopted accounts: their kinds and values."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKind


class AdoptionFact(FactKind):
    """Facts about adopted accounts. The comments give scope, name and value."""

    STORE = "store"  # name: workload; value: StoreState, absent: not read


@dataclass(frozen=True, slots=True)
class StoreVolume:
    """A volume in the podman store of an account."""

    name: str
    project: str = ""
    """The compose project that created it, from its label."""
    volume: str = ""
    """Its name in that project."""


@dataclass(frozen=True, slots=True)
class StoreState:
    """The podman store of an adopted account, before a workload is started in it."""

    volumes: tuple[StoreVolume, ...] = ()
