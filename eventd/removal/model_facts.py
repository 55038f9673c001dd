"""Facts about workloads that left the repository."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKind


class RemovalFact(FactKind):
    """Facts about workloads that left the repository; the comments say what name and value are."""

    RENAME = "rename"  # name: workload; value: RenameState, absent: it is none, or it is done
    DELETION = "deletion"  # name: workload; value: bool, the deletion of its account has begun


@dataclass(frozen=True, slots=True)
class RenameState:
    """A workload that is, or may be, another one under a new name."""

    old: tuple[str, ...]
    """The old name; several where it is not known."""
    told: bool = False
    """Its workload.toml says so."""
    problem: str = ""
    """Why that cannot be, as a sentence; empty if it can."""
