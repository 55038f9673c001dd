"""Scope: eventd.audit.source, on a real folder; the user's manager is not there. On a real host: tests/host."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from eventd.audit import source as provenance
from eventd.audit import source_system_folders
from eventd.audit.adapter_foreign_files import Found
from eventd.audit.model_facts import AuditFact, Foreign
from eventd.audit.model_places import Names, Place, system_places
from eventd.audit.source import ProvenanceSource
from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.model.facts import FactKey
from eventd.managers.source import UserManagersSource
from eventd.platform.inotify import Inotify
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import Account, PlatformFact
from tests.unit.kernel.recorder import Recorder

NAMES = Names(units=frozenset({"web.service"}), drop_ins=frozenset({"web.service.d"}))
RUN = "provenance"
RELOADING = FactKey(PlatformFact.RELOADING, "", "web")


@pytest.fixture
def emit(tmp_path: Path) -> Recorder:
    """With the account `web`, whose home is the test's folder."""
    recorder = Recorder()
    account = Account("web", os.geteuid(), os.getegid(), str(tmp_path))
    recorder.facts.set(FactKey(PlatformFact.ACCOUNT, "web"), account)
    return recorder


@pytest.fixture
def refreshed() -> asyncio.Event:
    """Set when the units are read again."""
    return asyncio.Event()


@pytest.fixture
async def source(emit: Recorder, tmp_path: Path, refreshed: asyncio.Event) -> AsyncIterator[ProvenanceSource]:
    """Running, for a user without a manager: nothing tells of changes in the home."""
    inotify = Inotify()

    async def refresh(_name: str) -> None:
        refreshed.set()

    managers = cast("UserManagersSource", SimpleNamespace(manager=lambda _name: None, refresh=refresh))
    made = ProvenanceSource(emit, emit.facts, managers, inotify, str(tmp_path / "quadlets"))
    tasks = [asyncio.create_task(inotify.run()), asyncio.create_task(made.run(), name=RUN)]
    yield made
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    inotify.close()


def paths(emit: Recorder) -> tuple[str, ...]:
    found = emit.fact(AuditFact.FOREIGN, "web")
    return found.paths if isinstance(found, Foreign) else ()


async def test_after_a_reload_the_folders_are_looked_at(
    source: ProvenanceSource, emit: Recorder, refreshed: asyncio.Event, tmp_path: Path
) -> None:
    """What its path units have not been told by then, systemd has dropped: inotify is set up anew in a reload."""
    stray = tmp_path / ".config/systemd/user/web.service.d/x.conf"
    stray.parent.mkdir(parents=True)
    stray.touch()
    await source.want({"web": NAMES})
    source.touched(os.geteuid())
    await refreshed.wait()  # no look is on its way any more
    assert paths(emit) == (str(stray),)
    stray.unlink()
    for reloading in (True, False):
        kind = PlatformEvent.RELOADING if reloading else PlatformEvent.RELOADED
        emit(PlatformOrigin.USER_MANAGER, kind, "", scope="web", facts=[(RELOADING, reloading)])
    await emit.until(lambda: paths(emit) == ())


async def test_a_change_of_the_systems_folders_outlives_a_look_that_failed(
    source: ProvenanceSource, emit: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Started again it looks there again: what told of the change will not tell a second time."""
    stray = tmp_path / "quadlets/web.container.d/x.conf"
    stray.parent.mkdir(parents=True)
    await source.want({"web": Names(quadlet_drop_ins=frozenset({"web.container.d"}))})
    real, loop, tried = provenance.scan, asyncio.get_running_loop(), asyncio.Event()

    def failing(places: tuple[Place, ...], *rest: Any) -> Found:
        if places == system_places(str(tmp_path / "quadlets")):
            loop.call_soon_threadsafe(tried.set)
            raise TemporaryError("no watches left", reason="inotify-exhausted")
        return real(places, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(source_system_folders, "scan", failing)
        stray.touch()
        await tried.wait()
        await asyncio.wait({task for task in asyncio.all_tasks() if task.get_name() == RUN})
    again = asyncio.create_task(source.run())
    await emit.until(lambda: paths(emit) == (str(stray),))
    again.cancel()
    await asyncio.gather(again, return_exceptions=True)


async def test_a_home_that_hangs_is_looked_at_when_its_server_answers(
    source: ProvenanceSource, emit: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until then the fact says that it is not known; and nothing but that answer tells that it is over."""
    stray = tmp_path / ".config/systemd/user/web.service.d/x.conf"
    stray.parent.mkdir(parents=True)
    stray.touch()
    real, loop, answers, looks = (
        provenance.scan,
        asyncio.get_running_loop(),
        threading.Event(),
        asyncio.Queue[None](),
    )

    def hang(places: tuple[Place, ...], *rest: Any) -> Found:
        if places != system_places(str(tmp_path / "quadlets")):
            loop.call_soon_threadsafe(looks.put_nowait, None)
            answers.wait(60)
        return real(places, *rest)

    monkeypatch.setattr(provenance, "scan", hang)
    monkeypatch.setattr(provenance, "TIMEOUT", 1.0)
    await source.want({"web": NAMES})
    for _ in range(2):  # by `want`, and once more to begin to watch
        await looks.get()
    async with source._users["web"].scanning:
        pass
    found = emit.fact(AuditFact.FOREIGN, "web")
    assert isinstance(found, Foreign)
    assert "no answer" in found.problem
    monkeypatch.setattr(provenance, "TIMEOUT", 60.0)
    answers.set()
    await emit.until(lambda: paths(emit) == (str(stray),))
