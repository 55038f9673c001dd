"""Actions that judge whether a workload is well."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verify:
    """Verify that the units are up, and stay up for the grace; only then is the revision applied."""

    workload: str
    units: tuple[str, ...]
    digest: str
    """`Workload.digest`."""
    deadline: float
    grace: float
    why: str
    verb = "verify"

    @property
    def target(self) -> str:
        """The units."""
        return " ".join(self.units)
