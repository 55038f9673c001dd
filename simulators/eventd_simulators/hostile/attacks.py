"""What a hostile bus does, by name: each attack behaves like an honest bus, except in one thing."""

from __future__ import annotations

from eventd_simulators.hostile.attacks_answers import ANSWERS
from eventd_simulators.hostile.attacks_floods import FLOODS
from eventd_simulators.hostile.bus import Peer


def _name(peer: type[Peer]) -> str:
    """Return what an attack is called: `LongNames` is `long-names`."""
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in peer.__name__)[1:]


ATTACKS: dict[str, type[Peer]] = {"none": Peer} | {_name(peer): peer for peer in (*FLOODS, *ANSWERS)}
