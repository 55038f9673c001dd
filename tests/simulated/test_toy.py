"""Scope: a capability is a folder: a domain that eventd knows nothing of works by its name in the list of domains."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from eventd import domains, settings
from eventd.api.routing import Api
from eventd.api.server import Server
from eventd.cli import main
from eventd.composition import compose
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.report import WorkloadState
from eventd.status import documents
from eventd_simulators.faults import Faults
from tests.simulated.daemon import Story, container
from tests.toy.controller import SUBJECT
from tests.toy.model_action_table import MoveBarrier
from tests.toy.model_facts import SeaEvent
from tests.toy.sea import SEAS, Sea

NAMES = (*domains.NAMES, "tests.toy")
CONFIG = '[repository]\nurl = "https://forge.example/repo.git"\n[barrier]\ngauge = "quay"\nlimit = 3\n'


class Harbour:
    """A daemon with the toy domain, its socket, and the sea."""

    def __init__(self, story: Story, sea: Sea, path: str) -> None:
        self.story, self.sea, self.path = story, sea, path

    async def eventctl(self, *words: str) -> tuple[int, str]:
        """Run it in a thread, as another process would; return its exit code and what it prints."""
        out = io.StringIO()

        def call() -> int:
            with contextlib.redirect_stdout(out):
                return main([*words, "--socket", self.path], NAMES)

        return await anyio.to_thread.run_sync(call), out.getvalue()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what a pass brings about."""
        changed = asyncio.Event()
        stop = self.story.engine.passes.subscribe("test", changed.set)
        async with asyncio.timeout(60):
            while not holds():
                await changed.wait()
                changed.clear()
        stop()

    def is_in(self, state: WorkloadState) -> bool:
        """Tell whether the barrier stands so."""
        row = self.story.engine.statuses.get(SUBJECT)
        return row is not None and row.state is state


@asynccontextmanager
async def harbour(folder: Path) -> AsyncIterator[Harbour]:
    """Run it."""
    sea = SEAS["quay"] = Sea()
    known = domains.load(NAMES)
    wanted = settings.parse(CONFIG, "eventd.toml", domains.tables(NAMES))
    story = Story(Faults(latency=(0.0, 0.0)), domains=known, settings=wanted)
    await story.start()
    story.push(container("web"))

    async def no_checks() -> list[Any]:
        return []

    async def no_boot() -> Any:
        raise PermanentError("no boot here", reason="no-boot")

    engine = story.engine
    identity = documents.Identity("host", "https://forge.example/repo.git", "main", time.time())
    api = Api(
        engine.queries,
        engine.commands,
        identity,
        no_checks,
        lambda _commit: None,
        no_boot,
        families=known.metrics,
    )
    async with AsyncExitStack() as stack:
        path = str(folder / "eventd.sock")
        await Server(api, "no-such-group", known.routes).listen(stack, path, "no-such-group")
        yield Harbour(story, sea, path)
    await story.kill()


async def test_a_domain_works_by_its_name_in_the_list_alone(tmp_path: Path) -> None:
    """Its source makes a run, its policy holds, its handler acts; its route, command, setting and metric answer."""
    async with harbour(tmp_path) as here:
        await here.until(lambda: documents.overall(here.story.engine.queries) == "converged")
        assert here.is_in(WorkloadState.CONVERGED)
        assert await here.eventctl("barrier") == (0, "0 m, open\n")

        here.sea.change(level=2)  # below the limit of the settings, and the default is 5
        here.sea.change(level=4, ship=True)
        await here.until(lambda: here.is_in(WorkloadState.HELD))
        assert here.story.status(SUBJECT).reason == "ship-in-the-way"
        assert not here.sea.closed

        here.sea.change(ship=False)
        await here.until(lambda: here.sea.closed and here.is_in(WorkloadState.CONVERGED))
        assert await here.eventctl("barrier") == (0, "4 m, closed\n")
        assert "toy_sea_metres 4.0" in (await here.eventctl("metrics"))[1]
        code, said = await here.eventctl("status")
        assert code == 0, said
        assert SUBJECT in said
        assert SeaEvent.TIDE in {event.kind for event in here.story.events}
        steps = here.story.world.disk.journal.values()
        assert [step.verb for step, _result in steps if step.workload == SUBJECT] == ["move-barrier"]


def test_the_real_daemon_is_composed_with_it_alike(tmp_path: Path) -> None:
    """With its source among those that are supervised, its handler, and its controller among the others."""
    SEAS["quay"] = Sea()
    paths = "".join(f'{name} = "{tmp_path}/{name}"\n' for name in ("runtime", "state", "git", "transforms"))
    text = f'git_account = ""\ncheck_account = ""\n{CONFIG}[paths]\n{paths}'
    composed = compose(settings.parse(text, "eventd.toml", domains.tables(NAMES)), names=NAMES)
    assert composed.sources.rows[-1].name == "gauge"
    assert MoveBarrier in composed.engine.handlers
    assert composed.engine.controllers.owner(SUBJECT).names() == (SUBJECT,)


def test_without_its_name_nothing_of_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    """Not the command, and not the table of the configuration."""
    assert main(["barrier"]) == 2
    assert "unknown command 'barrier'" in capsys.readouterr().err
    with pytest.raises(PermanentError, match=r"\[barrier\] unknown key"):
        settings.parse(CONFIG, "eventd.toml")
