"""Progress: live reports of a run, one for each step. Turns make them; the API's streams and the boot log listen."""

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
