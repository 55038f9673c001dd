"""Files of the host that a workload names, on the simulated host: whatever happens, it ends with what is there last."""

from __future__ import annotations

import asyncio
import random

import pytest

from eventd.kernel.model.events import Event
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import WorkloadState
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import FileKind
from eventd.workloads.model_facts import NamedState, WorkloadFact
from eventd_simulators.virtual_time import run, virtual
from tests.simulated.daemon import Story, container

PATH = "/etc/secrets/web.env"
KEY = FactKey(WorkloadFact.NAMED, PATH, "web")
FILES = {**container("web", more=f"EnvironmentFile={PATH}"), **container("other")}


class Secret:
    """The file, as the source tells of it, and which content each start of the unit found."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.digest = ""
        self.found: dict[str, str] = {}

    def tell(self, digest: str) -> None:
        """Another content; empty: it is missing."""
        self.digest = digest
        self.again()

    def again(self) -> None:
        """Say what is there, as after a restart of the daemon."""
        kind = FileKind.REGULAR if self.digest else None
        digest = f"k:{self.digest}" if self.digest else ""
        state = NamedState(PATH, kind, digest, noticed=self.story.world.model.system.now_us())
        self.story.dispatcher.emit(
            PlatformOrigin.INOTIFY, PlatformEvent.FILE_CHANGED, PATH, scope="web", facts=[(KEY, state)]
        )

    def look(self, _event: Event) -> None:
        """Note with what the unit was started that runs now."""
        if "web" in self.story.world.model.managers:
            self.found.setdefault(self.story.unit("web").invocation, self.digest)

    @property
    def used(self) -> str:
        """The content that the unit runs with."""
        return self.found[self.story.unit("web").invocation]


@pytest.mark.parametrize("seed", range(30))
def test_it_ends_with_the_content_that_was_there_last(seed: int) -> None:
    """Changes, losses and crashes in any order: the unit runs with the last one, and its neighbour was left alone."""

    async def story() -> None:
        chance, told = random.Random(seed), Story()
        secret = Secret(told)
        await told.start()
        told.dispatcher.subscribe("test", secret.look)
        secret.tell("a")
        told.push(FILES)
        await told.quiet(60)
        neighbour = told.unit("other").invocation
        for _ in range(chance.randint(1, 8)):
            secret.tell(chance.choice("abc" if chance.random() < 0.8 else ("",)))
            await asyncio.sleep(chance.choice((0, 0.1, 1, 30)))
            if chance.random() < 0.2:
                await told.kill()
                await told.start()
                told.dispatcher.subscribe("test", secret.look)
                secret.again()
        secret.tell(chance.choice("abc"))
        await told.quiet()
        assert secret.used == secret.digest
        assert told.status("web").state is WorkloadState.CONVERGED
        assert told.unit("other").invocation == neighbour
        await told.assert_converged()

    run(story(), seed=seed)


@virtual()
async def test_what_is_lost_is_said_and_shuts_no_gate_of_others() -> None:
    """The workload is held with its reason, and is healthy for who waits for it: it runs."""
    told = Story()
    secret = Secret(told)
    await told.start()
    secret.tell("a")
    waiting = {"workloads/other/workload.toml": 'requires = ["workload:web=healthy"]\n'}
    told.push({**FILES, **waiting})
    await told.quiet(60)
    secret.tell("")
    await told.quiet(60)
    status = told.status("web")
    assert status.state is not WorkloadState.CONVERGED
    assert status.reason == "file-missing"
    assert told.dispatcher.facts.get(FactKey(WorkloadFact.WORKLOAD, "web")) == "healthy"
    assert told.status("other").state is WorkloadState.CONVERGED
