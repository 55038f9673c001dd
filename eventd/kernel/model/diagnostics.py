"""Diagnostics: what is wrong in a file of the repository or the configuration, where, and what to do.

`Desired` carries them for each workload, `eventctl check` prints them, and a run reports them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """An error refuses the workload or the repository; a warning is only reported."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding."""

    severity: Severity
    file: str
    """Path in the repository, with `/`; or an absolute path for a file of the host."""
    line: int
    """Counted from 1; 0 if the finding is about the whole file."""
    key: str
    """`Section/Key`, a TOML key path, or empty."""
    message: str
    """What is wrong, as a sentence without a full stop."""
    hint: str = ""
    """What to do about it."""
    code: str = ""
    """A stable kebab-case name, e.g. `unknown-key`."""

    def __str__(self) -> str:
        """`file:line: error: [Section/Key] message (hint)`, the form that editors jump from."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        key = f"[{self.key}] " if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}: {self.severity}: {key}{self.message}{hint}"


def errors(diagnostics: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    """Return the errors."""
    return tuple(d for d in diagnostics if d.severity is Severity.ERROR)
