"""Actions on the files that eventd installs."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.desired.model import InstallFile


@dataclass(frozen=True, slots=True)
class PutFile:
    """Write one file; its folder depends on the uid, which a new account gets only when it is created."""

    workload: str
    file: InstallFile
    why: str
    verb = "put-file"

    @property
    def target(self) -> str:
        """The name below the folder of its role."""
        return f"{self.file.role}:{self.file.name}"


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Remove a file that eventd wrote."""

    workload: str
    path: str
    why: str
    verb = "remove-file"

    @property
    def target(self) -> str:
        """The absolute path."""
        return self.path
