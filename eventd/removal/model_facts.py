"""Facts about workloads that left the repository."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKind


class RemovalFact(FactKind):
    """Facts about workloads that left the repository. The comments give name and value."""

    RENAME = "rename"  # name: workload; value: RenameState; absent: no rename, or it is done
    DELETION = "deletion"  # name: workload; value: bool, the deletion of its account has begun


@dataclass(frozen=True, slots=True)
class RenameState:
    """A workload that is, or may be, a renamed one."""

    old: tuple[str, ...]
    """The old name; several if it is not known."""
    declared: bool = False
    """Its workload.toml declares it (`renamed_from`)."""
    problem: str = ""
    """Why the rename is impossible, as a sentence; empty if it is possible."""
