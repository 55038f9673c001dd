"""The sizes of workloads' data on disks: measured on request, in the background, one workload at a time.

A measurement walks over all files, so none is made without a request. The first answer says "not measured yet"; later
ones have the sizes and their age.
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
"""Seconds for which a measurement is valid."""


class Size(Protocol):
    """The interface of `eventd.storage.adapter_disk_usage.Usage`."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def whole(self) -> bool:
        """Whether everything could be read."""
        ...


Measure = Callable[[Account, str, Sequence[str]], Awaitable[Size | None]]


@dataclass(frozen=True, slots=True)
class Measured:
    """The sizes of one workload's places."""

    at: float
    """Seconds since the epoch."""
    sizes: dict[str, Size | None]
    """By path; None: it does not exist."""
    error: str = ""


@dataclass(slots=True)
class Sizes:
    """All measurements since the daemon's start."""

    measure: Measure
    wall: Callable[[], float] = time.time
    done: dict[str, Measured] = field(default_factory=dict)
    _todo: dict[str, tuple[Account, tuple[Place, ...]]] = field(default_factory=dict)
    _wake: anyio.Event = field(default_factory=anyio.Event)

    def want(self, workload: str, account: Account, places: tuple[Place, ...]) -> Measured | None:
        """Return the known sizes; schedule a measurement if they are missing, old, or of other places."""
        known = self.done.get(workload)
        stale = (
            known is None or self.wall() - known.at > FRESH or set(known.sizes) != {p.path for p in places}
        )
        if stale and workload not in self._todo:
            self._todo[workload] = (account, places)
            self._wake.set()
        return known

    def measuring(self, workload: str) -> bool:
        """Return whether it is being measured, or is scheduled."""
        return workload in self._todo

    async def serve(self) -> None:
        """Carry out scheduled measurements, until cancelled."""
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
                log.warning("cannot measure %s: %s", place.path, error)
                return Measured(self.wall(), {**dict.fromkeys(p.path for p in places), **sizes}, str(error))
        return Measured(self.wall(), sizes)
