"""Facts and events about the sea."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind, Origin
from eventd.kernel.model.facts import FactKey, FactKind


class SeaFact(FactKind):
    """Facts about the sea."""

    LEVEL = "sea-level"  # name: ""; value: str, metres
    SHIP = "ship"  # name: ""; value: bool, one is where the barrier would be
    BARRIER = "barrier"  # name: ""; value: bool, closed


class SeaOrigin(Origin):
    """Who tells of it."""

    GAUGE = "gauge"
    """The gauge."""


class SeaEvent(EventKind):
    """Events about the sea."""

    TIDE = "tide"
    """The sea has changed. Attribute `level`."""


LEVEL, SHIP, BARRIER = FactKey(SeaFact.LEVEL), FactKey(SeaFact.SHIP), FactKey(SeaFact.BARRIER)
