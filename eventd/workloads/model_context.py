"""What a plan needs to know besides the workload, what is seen and what is remembered."""

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
    """An operator asked for it: units that gave up are started again."""
    rewritten: bool = False
    """Earlier in this transaction, files changed under a running manager: what runs without a record is old."""
    restart: bool = False
    """Somebody asked for a restart: what runs is restarted, once everything else is done."""
    restore: frozenset[str] = frozenset()
    """Units on demand that are to run all the same: they did before a change that is taken back."""
    allow: frozenset[str] = frozenset()
    """Unit files and drop-ins that are not eventd's, and that an operator accepts."""
