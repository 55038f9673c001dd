"""Sizes of what workloads have on disks: measured when somebody asks, in the background, one workload at a time.

Nothing is measured by itself: it costs a walk over all files. The first answer says "not measured yet", the next one
has the sizes, and how old they are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import anyio

from eventd.kernel.model.errors import EventdError
from eventd.platform.model_facts import Account
from eventd.storage.model_backup_content import Place

log = logging.getLogger(__name__)
FRESH = 900.0
"""Seconds for which a measurement is good enough."""


class Size(Protocol):
    """What `eventd.storage.adapter_disk_usage.Usage` is."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def whole(self) -> bool:
        """Everything could be read."""
        ...


Measure = Callable[[Account, str, Sequence[str]], Awaitable[Size | None]]


@dataclass(frozen=True, slots=True)
class Measured:
    """The sizes of one workload's places."""

    at: float
    """Seconds since the epoch."""
    sizes: dict[str, Size | None]
    """By path; None: it is not there."""
    error: str = ""


@dataclass(slots=True)
class Sizes:
    """All that was measured in this life of the daemon."""

    measure: Measure
    wall: Callable[[], float] = time.time
    done: dict[str, Measured] = field(default_factory=dict)
    _todo: dict[str, tuple[Account, tuple[Place, ...]]] = field(default_factory=dict)
    _wake: anyio.Event = field(default_factory=anyio.Event)

    def want(self, workload: str, account: Account, places: tuple[Place, ...]) -> Measured | None:
        """Return what is known; have it measured (again) if that is missing, old, or about other places."""
        known = self.done.get(workload)
        stale = (
            known is None or self.wall() - known.at > FRESH or set(known.sizes) != {p.path for p in places}
        )
        if stale and workload not in self._todo:
            self._todo[workload] = (account, places)
            self._wake.set()
        return known

    def measuring(self, workload: str) -> bool:
        """Tell whether it is being measured, or about to be."""
        return workload in self._todo

    async def serve(self) -> None:
        """Measure what is wanted, for ever."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            while self._todo:
                name = next(iter(self._todo))
                account, places = self._todo[name]
                self.done[name] = await self._one(account, places)
                del self._todo[name]

    async def _one(self, account: Account, places: tuple[Place, ...]) -> Measured:
        sizes: dict[str, Size | None] = {}
        for place in places:
            try:
                sizes[place.path] = await self.measure(account, place.path, place.left_out)
            except EventdError as error:
                log.warning("%s cannot be measured: %s", place.path, error)
                return Measured(self.wall(), {**dict.fromkeys(p.path for p in places), **sizes}, str(error))
        return Measured(self.wall(), sizes)
