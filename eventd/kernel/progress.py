"""Progress: what is told of a run while it is on, one step at a time.

Owns the shape of it. A turn makes it, the reconciler hands it to whoever listens (the API's streams, the boot log).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of live progress."""

    run: int
    workload: str
    step: str
    state: str
    """begin, end or failed."""
    message: str = ""
    seconds: float = 0.0
    """Since the step began."""
