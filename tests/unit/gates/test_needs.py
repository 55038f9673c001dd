"""Scope: gates.source_needs: what gates need is handed on, also after an error and while it is handed on already."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import cast

import pytest

from eventd.files.source_watched import WatchedFiles
from eventd.gates.source_needs import NETWORK, Needs
from eventd.gates.source_probes import ProbesSource
from eventd.health.source import ContainerHealthSource
from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import ActiveState, PlatformFact, UnitState
from eventd.platform.systemd.source import SystemSource
from eventd.updates.source_image_store import ImageStoreSource
from tests.unit.kernel.recorder import Recorder

ONE, TWO = (frozenset({FactKey(PlatformFact.FILE, path)}) for path in ("/srv/one", "/srv/two"))


class Files:
    """Watched files that are looked at one after the other, or cannot be."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.error: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.looking = asyncio.Event()
        self._lock = asyncio.Lock()

    async def want(self, paths: Iterable[str]) -> None:
        async with self._lock:
            self.looking.set()
            if self.hold is not None:
                await self.hold.wait()
            if self.error is not None:
                raise self.error
            self.wanted = sorted(paths)


class Made:
    """Needs over sources that only remember."""

    def __init__(self) -> None:
        self.emit, self.files, self.pokes = Recorder(), Files(), 0
        self.needs = Needs(
            self.emit.facts,
            cast("SystemSource", SimpleNamespace(watch=lambda _units: None)),
            cast("WatchedFiles", self.files),
            cast("ContainerHealthSource", SimpleNamespace(want=lambda _containers, _uids: None)),
            cast("ProbesSource", SimpleNamespace(poke=self._poke)),
            cast("ImageStoreSource", SimpleNamespace(want=lambda _keys: None)),
        )

    def _poke(self) -> None:
        self.pokes += 1

    def network(self, active: ActiveState) -> None:
        state = UnitState(NETWORK.name, active=active)
        self.emit(PlatformOrigin.SYSTEMD, PlatformEvent.UNIT_CHANGED, NETWORK.name, facts=[(NETWORK, state)])


async def test_after_an_error_the_next_is_handed_on() -> None:
    """A kernel without watches left for one revision must not keep all that follow from coming into force."""
    made = Made()
    await made.needs.need(ONE)
    made.files.error = TemporaryError("no watches left", reason="inotify-exhausted")
    with pytest.raises(TemporaryError):
        await made.needs.need(TWO)
    made.network(ActiveState.ACTIVE)
    assert made.pokes == 1
    made.files.error = None
    await made.needs.need(TWO)
    assert made.files.wanted == ["/srv/two"]
    made.network(ActiveState.INACTIVE)
    assert made.pokes == 2


async def test_two_rollbacks_at_once_are_both_handed_on() -> None:
    """Turns run side by side, and each that goes back has other gates in force; what came last counts."""
    made = Made()
    await made.needs.need(frozenset())
    made.files.hold = asyncio.Event()
    made.files.looking.clear()
    first = asyncio.create_task(made.needs.need(ONE))
    await made.files.looking.wait()
    second = asyncio.create_task(made.needs.need(ONE | TWO))
    await asyncio.sleep(0)
    made.files.hold.set()
    await asyncio.gather(first, second)
    assert made.files.wanted == ["/srv/one", "/srv/two"]
    made.network(ActiveState.ACTIVE)
    assert made.pokes == 1


async def test_the_network_that_comes_up_while_files_are_looked_at_has_probes_asked() -> None:
    """There is no moment in which nobody listens."""
    made = Made()
    await made.needs.need(frozenset())
    made.files.hold = asyncio.Event()
    made.files.looking.clear()
    task = asyncio.create_task(made.needs.need(ONE))
    await made.files.looking.wait()
    made.network(ActiveState.ACTIVE)
    made.files.hold.set()
    await task
    assert made.pokes == 1
