"""What the runtime needs of the host's own Quadlet generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class QuadletGenerator(Protocol):
    """The host's own Quadlet generator, as a check."""

    async def dry_run(self, files: Mapping[str, bytes]) -> Sequence[str]:
        """Return its errors as lines; empty if it accepts the files."""
        ...
