"""The git repository, as the runtime sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from eventd.desired.model import Tree


@dataclass(frozen=True, slots=True)
class Fetched:
    """The result of a fetch."""

    commit: str
    """Full object id of the branch's head."""
    previous: str
    """The head of the branch before, or empty."""


class Repository(Protocol):
    """The git repository."""

    async def fetch(self) -> Fetched:
        """Bring the branch up to date; verify its signature and ancestry if the configuration says so.

        Raises TemporaryError (network, remote) or PermanentError(reason="unsigned" | "rewritten" | …).
        """
        ...

    async def current(self) -> str | None:
        """Return the last accepted commit that is on the disk, without the network; None before the first fetch."""
        ...

    async def tree(self, commit: str) -> Tree:
        """Read all files of a commit."""
        ...

    async def resolve(self, text: str) -> str:
        """Return the full id of the commit that begins with `text`, if it is in the history of the current one.

        Without the network. Raises PermanentError(reason="no-such-commit").
        """
        ...
