"""The table of reasons (`eventd/reasons.toml`): what each means, and the way out.

It is data of the package: nobody has to be asked for it. Next: `eventctl explain`, and `docs/reference/reasons.md`.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

FINDINGS = "Found in a repository"
"""The heading of the reasons that are codes of findings, too."""
_FINDING = "Each finding names its file and line and says what to do: `eventctl check DIR` shows them all."
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason. Texts are Markdown; `plain` makes them readable on a terminal."""

    name: str
    """A `*` stands for a part that is put in at run time."""
    group: str
    meaning: str
    way_out: str

    def is_called(self, name: str) -> bool:
        """Tell whether it is what a name stands for."""
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
    """Return the reason of that name: the one that is called just so, before one with a `*`."""
    called = [each for each in table() if each.is_called(name)]
    return next((each for each in called if each.name == name), called[0] if called else None)


def plain(text: str) -> str:
    """Return a text without its links."""
    return _LINK.sub(r"\1", text)
