"""Events about probes, and their origin."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind, Origin


class GateOrigin(Origin):
    """Where events about probes come from."""

    PROBE = "probe"
    """The prober, for a gate or for health."""


class GateEvent(EventKind):
    """Events about probes."""

    PROBED = "probed"
    """The answer to a TCP, DNS or HTTP probe has changed. Attributes `good`, `outcome`, and `status`, that of HTTP."""
