"""The table of reasons (`eventd/reasons.toml`): what each means, and what to do about it.

It is package data, so no daemon is needed. Next: `eventctl explain`, and `docs/reference/reasons.md`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

FINDINGS = "Found in a repository"
"""The heading of reasons that are also codes of findings."""
_FINDING = "Each finding names its file and line and says what to do: `eventctl check DIR` shows them all."
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. Texts are Markdown; `plain` makes them readable on a terminal."""

    name: str
    """A `*` stands for a part that is filled in at run time."""
    group: str
    meaning: str
    way_out: str

    def is_called(self, name: str) -> bool:
        """Return whether a name is this reason."""
        return re.fullmatch(re.escape(self.name).replace(r"\*", "[a-z0-9-]+"), name) is not None


@cache
def table() -> tuple[Reason, ...]:
    """Return all reasons, in the table's order."""
    document = tomllib.loads(resources.files("eventd").joinpath("reasons.toml").read_text(encoding="utf-8"))
    return tuple(
        Reason(name, group, *((row, _FINDING) if isinstance(row, str) else row))
        for group, rows in document.items()
        for name, row in rows.items()
    )


def find(name: str) -> Reason | None:
    """Return the reason of that name: an exact match, before one with a `*`."""
    called = [each for each in table() if each.is_called(name)]
    return next((each for each in called if each.name == name), called[0] if called else None)


def plain(text: str) -> str:
    """Return Markdown text without its links."""
    return _LINK.sub(r"\1", text)
