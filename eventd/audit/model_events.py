"""Events about provenance."""

from __future__ import annotations

from eventd.core.events import EventKind


class AuditEvent(EventKind):
    """Events about provenance."""

    PROVENANCE = "provenance"
    """What an audit finds wrong with a workload's units has changed. Attributes `findings`, `codes`, `message`."""
