"""What a plan needs besides the workload, the observation and the records."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.workloads.model_layout import Layout


@dataclass(frozen=True, slots=True)
class Context:
    """What a plan needs besides the workload."""

    layout: Layout
    owner_uid: int = 0
    """Who owns the installed files: root, or whoever runs the simulated host."""
    forced: bool = False
    """The run is forced: units that systemd gave up on are started again."""
    rewritten: bool = False
    """Files changed under a running manager earlier in this turn: units that run without a record are outdated."""
    restart: bool = False
    """A restart was requested: running units are restarted once everything else is done."""
    restore: frozenset[str] = frozenset()
    """On-demand units that have to run: they ran before a change that is rolled back."""
    allow: frozenset[str] = frozenset()
    """Foreign unit files and drop-ins that an operator accepts."""
