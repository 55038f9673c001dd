"""Events about where the units of a workload come from."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class AuditEvent(EventKind):
    """Events about where the units of a workload come from."""

    FOREIGN = "foreign-files"
    """Foreign files are where a workload's manager would load them. Attributes `files`, `problem`."""
    PROVENANCE = "provenance"
    """The audit findings of a workload have changed. Attributes `findings`, `codes`, `message`."""
