"""Scope: the boot log: what it collects of a daemon on the simulated host, when it ends, what it keeps."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from eventd.boot.adapter_file import BootFile
from eventd.boot.controller import BootLog
from eventd.boot.controller_units import MOST, read_units
from eventd.boot.documents import boot
from eventd.boot.model import BootOrigin, BootRecord, FactTime, Span, SpanKind
from eventd.boot.model_facts import unit_of_path
from eventd.boot.model_path import critical_path
from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey, FactKind, Facts
from eventd.mounts.model_facts import MountFact, MountState
from eventd.platform.model_events import PlatformOrigin
from eventd.platform.model_facts import ActiveState, LoadState, PlatformFact, UnitState
from eventd.platform.systemd.model_times import Startup, UnitTimes
from eventd.workloads.model_facts import WorkloadFact
from eventd_policies.gates import gates
from eventd_simulators.virtual_time import EPOCH, virtual
from tests.simulated.daemon import Story, container
from tests.unit.boot.boots import Memory, Times, record, start, workload

MOUNT = FactKey(MountFact.MOUNT, "/srv")
MOUNTED = MountState("/srv", "/dev/sdb1", "ext4", "rw", "8:17")
STARTUP = Startup(kernel=True, initrd=EPOCH - 20, userspace=EPOCH - 18, finished=None, unit="eventd.service")
UNITS = {
    "eventd": UnitTimes("eventd.service", EPOCH - 2, EPOCH + 1, ("basic.target",)),
    "basic": UnitTimes("basic.target", EPOCH - 3, EPOCH - 3),
}


def gated(name: str, *requires: str) -> dict[str, str | bytes]:
    """A workload's files, with gates."""
    listed = ", ".join(f'"{each}"' for each in requires)
    return {
        **container(name),
        f"workloads/{name}/workload.toml": f"requires = [{listed}]\n[health]\ndeadline = 3000\n",
    }


class Logged(Story):
    """A daemon with a boot log."""

    log: BootLog
    running: asyncio.Task[None]
    memory: Memory

    async def boot(self, times: Times | None = None, kept: BootRecord | None = None) -> None:
        """Start both."""
        await self.start()
        self.say(
            PlatformFact.UNIT,
            "eventd.service",
            UnitState("eventd.service", LoadState.LOADED, ActiveState.ACTIVE),
        )
        self.say(
            PlatformFact.UNIT, "basic.target", UnitState("basic.target", LoadState.LOADED, ActiveState.ACTIVE)
        )
        judge = self.engine.judge
        judge.policies = (*judge.policies, gates)
        self.memory = Memory(kept)
        loop = asyncio.get_running_loop()
        times = times or Times(STARTUP, **UNITS)
        self.log = BootLog(
            self.engine.queries,
            times,
            self.memory,
            "alpha",
            clock=loop.time,
            wall=lambda: loop.time() + 1e9,
        )
        self.running = loop.create_task(self.log.run())
        self.log.ready()

    def say(self, kind: FactKind, name: str, value: UnitState | MountState | None) -> None:
        """Set a fact, as a source would."""
        self.dispatcher.emit(
            PlatformOrigin.SYSTEMD, KernelEvent.READ, name, facts=[(FactKey(kind, name), value)]
        )


@virtual()
async def test_waits_steps_and_facts_become_a_story() -> None:
    """A gated workload: its wait ends when the mount comes, its start and verification follow; then all is kept."""
    story = Logged()
    await story.boot()
    story.push({**container("web"), **gated("photos", "mount:/srv")})
    await story.quiet(50)
    halfway = await story.log.record()
    assert not halfway.complete
    assert halfway.state == "held"
    assert critical_path(halfway)[-1].what == "photos waits for mount:/srv"
    assert [each.complete for each in story.memory.saved] == [False]  # as soon as only the gate was left

    mounted = asyncio.get_running_loop().time()
    story.say(MountFact.MOUNT, "/srv", MOUNTED)
    await story.quiet(50)
    assert story.running.done()
    told = await story.log.record()
    assert told is story.log._final
    assert story.memory.saved[-1] == told
    assert told.complete
    assert told.origin is BootOrigin.KERNEL
    assert told.started == EPOCH - 2  # its unit's start, before its first look at the clock
    assert told.phases.userspace == EPOCH - 18

    photos = next(each for each in told.workloads if each.name == "photos")
    kinds = [span.kind for span in photos.spans]
    assert kinds[-3:] == [SpanKind.WAIT, SpanKind.START, SpanKind.VERIFY]
    wait = photos.spans[-3]
    assert (wait.text, wait.end) == ("mount:/srv", mounted)
    assert all(span.end is not None and span.begin <= span.end for span in photos.spans)
    assert next(fact for fact in told.facts if fact.text == "mount:/srv").came == mounted
    assert photos.converged == told.converged == photos.spans[-1].end
    document = boot(told)
    assert document["state"] == "converged"
    assert sum(hop["share"] for hop in document["critical_path"]) == pytest.approx(1, abs=0.01)


@virtual()
async def test_after_the_end_nothing_of_it_is_registered() -> None:
    """No listener, no watcher: what happens later costs nothing, and changes nothing of what was told."""
    story = Logged()
    await story.boot()
    watched = {key: len(all_) for key, all_ in story.dispatcher.facts._watchers.items()}
    assert watched
    story.push(container("web"))
    await story.quiet(50)
    assert story.running.done()
    engine = story.engine
    assert len(engine.steps) == 0
    assert "the boot log" not in engine.passes
    assert story.log._stops == []
    assert FactKey(WorkloadFact.WORKLOAD, "web") not in story.dispatcher.facts._watchers
    told = await story.log.record()
    story.push({**container("web"), **container("later")})
    await story.quiet(50)
    assert await story.log.record() == told
    assert len(story.memory.saved) == 2


@virtual()
async def test_who_asks_as_it_ends_is_told_what_is_kept() -> None:
    """Systemd is still being asked for one answer when the story is kept for good, and what was seen is forgotten."""

    class Slow(Times):
        slow = asyncio.Event()
        asked = asyncio.Event()

        async def startup(self) -> Startup:
            if asyncio.current_task() is asking:
                self.asked.set()
                await self.slow.wait()
            return await super().startup()

    asking: asyncio.Task[BootRecord] | None = None
    story, times = Logged(), Slow(STARTUP, **UNITS)
    await story.boot(times)
    asking = asyncio.create_task(story.log.record())
    await times.asked.wait()
    story.push(container("web"))
    await story.quiet(50)
    assert story.running.done()
    times.slow.set()
    assert await asking == await story.log.record()


@virtual()
async def test_the_story_of_this_boot_is_not_told_anew() -> None:
    """A daemon that is restarted finds it, and listens to nothing."""
    kept = record(workload("web", *start("web", 5, 6), converged=7))
    story = Logged()
    await story.boot(kept=kept)
    assert await story.log.record() == kept  # also for who asks at once
    story.push(container("web"))
    await story.quiet(50)
    assert await story.log.record() == kept
    assert story.memory.saved == []


@virtual()
async def test_a_start_after_the_boot_is_called_one() -> None:
    """Systemd had finished the boot before the daemon's unit was started."""
    story = Logged()
    await story.boot(Times(replace(STARTUP, finished=EPOCH - 10), **UNITS))
    story.push(container("web"))
    await story.quiet(50)
    told = await story.log.record()
    assert told.origin is BootOrigin.DAEMON
    assert told.started == 0
    assert told.uptime == EPOCH - 2
    assert boot(told)["caveat"]


@virtual()
async def test_without_systemds_times_the_daemons_own_are_told() -> None:
    """A systemd that does not answer costs what came before, not the rest."""

    class Silent(Times):
        async def startup(self) -> Startup:
            raise TemporaryError("no connection")

    story = Logged()
    await story.boot(Silent())
    story.push(container("web"))
    await story.quiet(50)
    told = await story.log.record()
    assert told.origin is BootOrigin.DAEMON
    assert told.state == "converged"


@virtual()
async def test_what_never_converges_is_not_watched_for_ever() -> None:
    """A device that is never plugged in: after half an hour the story ends as it is."""
    story = Logged()
    await story.boot()
    story.push(gated("photos", "mount:/srv"))
    await story.quiet(4000)
    told = await story.log.record()
    assert story.running.done()
    assert story.log._stops == []
    assert told.converged is None
    assert boot(told)["waiting"] == ["photos"]


@virtual()
async def test_a_unit_that_was_restarted_keeps_the_time_it_first_came() -> None:
    """Systemd knows the last time a unit became active only; what eventd saw itself is older and right."""
    story = Logged()
    late = UnitTimes("srv.mount", EPOCH + 3000, EPOCH + 3001)
    await story.boot(Times(STARTUP, **UNITS, mount=late))
    story.say(PlatformFact.UNIT, "srv.mount", UnitState("srv.mount", LoadState.LOADED, ActiveState.ACTIVE))
    story.push(gated("photos", "mount:/srv"))
    await story.quiet(50)
    story.say(MountFact.MOUNT, "/srv", MOUNTED)
    await story.quiet(50)
    told = await story.log.record()
    fact = next(each for each in told.facts if each.text == "mount:/srv")
    assert fact.came is not None
    assert fact.came < EPOCH + 100
    assert fact.began is None


async def test_the_chain_before_a_unit_is_read_and_no_more() -> None:
    """Of what a unit is ordered after, the last to come; units that are not up or not loaded are left alone."""
    facts = Facts()
    for name in ("a.service", "b.service", "c.target", "early.service"):
        facts.set(FactKey(PlatformFact.UNIT, name), UnitState(name, LoadState.LOADED, ActiveState.ACTIVE))
    facts.set(FactKey(PlatformFact.UNIT, "down.service"), UnitState("down.service", LoadState.LOADED))
    times = Times(
        a=UnitTimes("a.service", 9, 10, ("b.service", "c.target", "down.service", "unloaded.service")),
        b=UnitTimes("b.service", 3, 8, ("early.service",)),
        c=UnitTimes("c.target", 2, 2),
        e=UnitTimes("early.service", 1, 1, ("a.service",)),
    )
    found = await read_units(times, facts, ["a.service"])
    assert set(found) == {"a.service", "b.service", "c.target", "early.service"}
    many = {
        f"u{n}.service": UnitTimes(f"u{n}.service", n, n, (f"u{n - 1}.service",)) for n in range(1, 2 * MOST)
    }
    for name in many:
        facts.set(FactKey(PlatformFact.UNIT, name), UnitState(name, LoadState.LOADED, ActiveState.ACTIVE))
    assert len(await read_units(Times(None, **many), facts, [f"u{2 * MOST - 1}.service"])) == MOST


async def test_a_record_survives_the_daemon_and_not_the_boot(tmp_path: Path) -> None:
    """What was saved is read back as it was; another boot's, or what is no record, is none."""
    told = record(
        workload("web", Span(SpanKind.WAIT, "mount:/srv", 5), *start("web", 6, 7), waits_for=("mount:/srv",)),
        facts=(FactTime("mount:/srv"),),
    )
    path = tmp_path / "boot.json"
    file = BootFile(str(path), "b")
    assert await file.load() is None
    await file.save(told)
    assert await file.load() == told
    assert path.stat().st_mode & 0o777 == 0o600
    assert await BootFile(str(path), "another").load() is None
    path.write_text('{"boot_id": "b"}')
    assert await file.load() is None
    with pytest.raises(TemporaryError, match="cannot write the record"):
        await BootFile(str(tmp_path / "none" / "boot.json"), "b").save(told)


@pytest.mark.parametrize(
    ("path", "suffix", "unit"),
    [
        ("/", "mount", "-.mount"),
        ("/srv/photos", "mount", "srv-photos.mount"),
        ("/srv//my-photos/.x/", "mount", "srv-my\\x2dphotos-.x.mount"),
        ("/.hidden", "mount", "\\x2ehidden.mount"),
        ("/srv/ä b", "mount", "srv-\\xc3\\xa4\\x20b.mount"),
        ("/dev/disk/by-uuid/1-2", "device", "dev-disk-by\\x2duuid-1\\x2d2.device"),
    ],
)
def test_paths_become_units_as_systemd_escape_says(path: str, suffix: str, unit: str) -> None:
    """The expected ones are what `systemd-escape --path --suffix=` printed."""
    assert unit_of_path(path, suffix) == unit
