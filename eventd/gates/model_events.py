"""Events about probes: what they are, and who says so."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind, Origin


class GateOrigin(Origin):
    """Who tells of probes."""

    PROBE = "probe"
    """A probe of a gate or of health."""


class GateEvent(EventKind):
    """Events about probes."""

    PROBED = "probed"
    """A TCP, DNS or HTTP probe was answered otherwise than before. Attributes `good`, `outcome`, and `status`, the one
    of HTTP."""
