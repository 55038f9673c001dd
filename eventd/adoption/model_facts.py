"""Facts about accounts that are handed over: their kinds, and what their values are."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKind


class AdoptionFact(FactKind):
    """Facts about accounts that are handed over; the comments say what scope, name and value are."""

    STORE = "store"  # name: workload; value: StoreState, absent: not looked at


@dataclass(frozen=True, slots=True)
class StoreVolume:
    """A volume in the podman store of an account."""

    name: str
    project: str = ""
    """The compose project that made it, as its label says."""
    volume: str = ""
    """What that calls it."""


@dataclass(frozen=True, slots=True)
class StoreState:
    """The podman store of an account that was handed over, before a workload is started in it."""

    volumes: tuple[StoreVolume, ...] = ()
