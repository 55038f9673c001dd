"""Facts about where the units of a workload come from: their kinds, and what their values are."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKind


class AuditFact(FactKind):
    """Facts about where the units of a workload come from; the comments say what scope, name and value are."""

    FOREIGN = "foreign"  # name: workload; value: Foreign, absent: not scanned


@dataclass(frozen=True, slots=True)
class Foreign:
    """Foreign files on disk under names that concern a workload's units."""

    paths: tuple[str, ...] = ()
    """Unit files, Quadlet files and drop-ins, sorted."""
    masks: frozenset[str] = frozenset()
    """Those that are empty or links to /dev/null."""
    folders: tuple[str, ...] = ()
    """The scanned folders: what is below one of them and not in `paths` does not exist."""
    problem: str = ""
    """Why the scan is incomplete, as a clause; empty if it is complete."""

    def covers(self, path: str) -> bool:
        """Return whether a path is in a scanned folder."""
        return any(path.startswith(f"{folder}/") for folder in self.folders)
