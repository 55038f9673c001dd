"""Actions on the accounts of workloads that left the repository."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.workloads.model_actions import OnUser


@dataclass(frozen=True, slots=True)
class Orphan(OnUser):
    """Record that the workload left the repository: its units are gone, its account and data are kept."""

    why: str
    verb = "retain"


@dataclass(frozen=True, slots=True)
class DeleteAccount:
    """Delete the account of a removed workload with its home: its data is lost."""

    workload: str
    """The controller's subject, `deletion:NAME`."""
    account: str
    uid: int
    home: str
    made_by: int
    """The run that made the account."""
    why: str
    verb = "delete-account"

    @property
    def target(self) -> str:
        """The user name."""
        return self.account


@dataclass(frozen=True, slots=True)
class RenameAccount:
    """Rename the account of a removed workload to that of its new name; its home stays."""

    workload: str
    """The controller's subject, `rename:NEW`."""
    old: str
    new: str
    uid: int
    why: str
    verb = "rename-account"

    @property
    def target(self) -> str:
        """Both names."""
        return f"{self.old} {self.new}"
