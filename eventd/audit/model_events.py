"""Events about where the units of a workload come from."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class AuditEvent(EventKind):
    """Events about where the units of a workload come from."""

    FOREIGN = "foreign-files"
    """Something of others stands where a workload's manager would load it. Attributes `files`, `problem`."""
    PROVENANCE = "provenance"
    """What an audit finds wrong with a workload's units has changed. Attributes `findings`, `codes`, `message`."""
