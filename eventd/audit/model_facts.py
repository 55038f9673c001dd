"""Facts about where the units of a workload come from: their kinds, and what their values are."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKind


class AuditFact(FactKind):
    """Facts about where the units of a workload come from; the comments say what scope, name and value are."""

    FOREIGN = "foreign"  # name: workload; value: Foreign, absent: not looked at


@dataclass(frozen=True, slots=True)
class Foreign:
    """What stands on the disk under a name that concerns a workload's units, and is not eventd's."""

    paths: tuple[str, ...] = ()
    """Unit files, Quadlet files and drop-ins, sorted."""
    masks: frozenset[str] = frozenset()
    """Those of them that are links to /dev/null, or empty."""
    folders: tuple[str, ...] = ()
    """Where was looked: what is below one of these and not in `paths` is not there."""
    problem: str = ""
    """Why it is not all known, as a clause; empty if it is."""

    def covers(self, path: str) -> bool:
        """Tell whether a path is where was looked."""
        return any(path.startswith(f"{folder}/") for folder in self.folders)
