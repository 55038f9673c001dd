"""Gates on the simulated host: random predicates, random orders of facts; the real engine against plain evaluation."""

from __future__ import annotations

import asyncio
import random

import pytest

from eventd.api.model_rights import View
from eventd.gates.model_predicate_parse import parse
from eventd.gates.model_predicates import Predicate
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.located import Located
from eventd.kernel.model.report import WorkloadState
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import ActiveState, FileKind, FileState, PlatformFact
from eventd.status import documents_why as why_document
from eventd_simulators.virtual_time import run, virtual
from tests.simulated.daemon import Story, container

PATHS = tuple(f"/flag/{n}" for n in range(4))
THERE = FileState(FileKind.REGULAR, "", 0o644, 0, 0)
LONG = 20.0
"""Virtual seconds in which every open gate's workload has started: the grace, and calls that take their time."""


def text(chance: random.Random, depth: int = 2, *, negate: bool = True) -> str:
    """Return a random predicate over the flags."""
    kind = chance.choice(["atom", "all", "any", *(["not"] if negate else [])]) if depth else "atom"
    if kind == "atom":
        return f"file:{chance.choice(PATHS)}"
    count = 1 if kind == "not" else chance.randint(1, 3)
    return f"{kind}({', '.join(text(chance, depth - 1, negate=negate) for _ in range(count))})"


def predicate(written: str) -> Predicate:
    """Read one."""
    found = parse(Located(written, "workload.toml", 1))
    assert isinstance(found, Predicate)
    return found


def gated(gates: dict[str, str], deadline: str = "1h") -> dict[str, str | bytes]:
    """Return a repository with one workload per gate."""
    files: dict[str, str | bytes] = {}
    for name, written in gates.items():
        files |= container(name)
        options = f'requires = ["{written}"]\n[health]\ndeadline = "{deadline}"\n'
        files[f"workloads/{name}/workload.toml"] = options
    return files


def tell(story: Story, path: str, *, there: bool) -> None:
    """Set a flag, as the source of watched files would."""
    fact = (FactKey(PlatformFact.FILE, path), THERE if there else None)
    story.dispatcher.emit(PlatformOrigin.INOTIFY, PlatformEvent.FILE_CHANGED, path, facts=[fact])


def started(story: Story, name: str) -> bool:
    """Tell whether the workload's container runs."""
    return name in story.world.model.managers and story.unit(name).active is ActiveState.ACTIVE


@pytest.mark.parametrize("seed", range(40))
def test_exactly_what_ever_held_has_started(seed: int) -> None:
    """A workload starts when its gate opens, and none does whose gate never held, whatever flips meanwhile."""

    async def story() -> None:
        chance = random.Random(seed)
        gates = {f"w{n}": text(chance) for n in range(4)}
        told = Story()
        await told.start()
        told.push(gated(gates))
        facts = told.dispatcher.facts
        held: set[str] = set()
        surely: set[str] = set()
        for _ in range(12):
            holding = {name for name, written in gates.items() if predicate(written).holds(facts)}
            held |= holding
            if chance.random() < 0.5:
                await asyncio.sleep(LONG)
                surely |= holding
            tell(told, chance.choice(PATHS), there=chance.random() < 0.6)
        await asyncio.sleep(LONG)
        final = {name for name, written in gates.items() if predicate(written).holds(facts)}
        running = {name for name in gates if started(told, name)}
        assert surely | final <= running <= held | final, (gates, surely, running, held)

    run(story(), seed=seed)


@pytest.mark.parametrize("seed", range(20))
def test_no_order_of_arrival_changes_where_it_ends(seed: int) -> None:
    """The same facts, in three orders and some of them twice, leave the same workloads running and waiting."""

    async def one(order: list[str], gates: dict[str, str], into: list[dict[str, WorkloadState]]) -> None:
        told = Story()
        await told.start()
        told.push(gated(gates))
        for path in order:
            tell(told, path, there=True)
            await asyncio.sleep(0 if len(order) % 2 else 1.5)
        await asyncio.sleep(LONG)
        into.append({name: told.status(name).state for name in gates})

    chance = random.Random(1000 + seed)
    gates = {f"w{n}": text(chance, negate=False) for n in range(4)}
    arrived = chance.sample(PATHS, chance.randint(0, len(PATHS)))
    outcomes: list[dict[str, WorkloadState]] = []
    for _ in range(3):
        order = [*arrived, *arrived[: chance.randint(0, len(arrived))]]
        chance.shuffle(order)
        run(one(order, gates, outcomes), seed=seed)
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert set(outcomes[0].values()) <= {WorkloadState.CONVERGED, WorkloadState.HELD}


@virtual()
async def test_a_gate_that_is_late_fails_once_and_opens_all_the_same() -> None:
    """One failed run at the deadline, none after it, and the start when the fact comes an hour later."""
    told = Story()
    await told.start()
    told.push(gated({"web": f"file:{PATHS[0]}"}, deadline="30s"))
    await asyncio.sleep(LONG)
    assert told.status("web").state is WorkloadState.HELD
    await asyncio.sleep(3600)
    assert told.status("web").reason == "gate-timeout"
    assert told.engine.runs.counters.runs_failed == 1
    tell(told, PATHS[0], there=True)
    await asyncio.sleep(LONG)
    assert told.status("web").state is WorkloadState.CONVERGED


@virtual()
async def test_a_deadline_that_is_changed_counts_for_what_is_held() -> None:
    """Less than it has waited: it is late at once. More: it is in order again. Its wait began when it began."""
    told = Story()
    await told.start()
    gate = {"web": f"file:{PATHS[0]}"}
    told.push(gated(gate, deadline="10m"))
    await asyncio.sleep(60)
    assert told.status("web").reason == "gate"
    told.push(gated(gate, deadline="30s"))
    await asyncio.sleep(LONG)
    assert told.status("web").reason == "gate-timeout"
    told.push(gated(gate, deadline="3m"))
    await asyncio.sleep(LONG)
    assert told.status("web").reason == "gate"
    await asyncio.sleep(180)
    assert told.status("web").reason == "gate-timeout"


@virtual()
async def test_why_says_in_its_sentence_what_its_table_says() -> None:
    """Both are of now: what a workload was held for, when the other had not been seen yet, is not repeated."""
    told = Story()
    await told.start()
    told.push(gated({"page": "workload:photos=active", "photos": f"file:{PATHS[0]}"}))
    await asyncio.sleep(LONG)
    answer = why_document.why(told.engine.queries, "page")
    (row,) = [each for each in answer["facts"] if each["wanted"] == "requires"]
    assert row["value"] == "workload photos is held, not active"
    assert row["value"] in answer["sentence"]
    assert "seen" not in answer["sentence"]


@virtual()
async def test_why_follows_what_waits_to_its_root() -> None:
    """From the workload that is asked about, over what it waits for, to what failed; the hint is that one's.

    A workload that asks about itself learns no more of the others than that it waits.
    """
    told = Story()
    await told.start()
    files = gated({"front": "workload:api=active", "api": "workload:db=active"})
    files |= container("db", image="missing")
    told.push(files)
    await asyncio.sleep(LONG)
    engine = told.engine
    answer = why_document.why(engine.queries, "front")
    assert [(each["subject"], each["state"]) for each in answer["because"]] == [
        ("api", "held"),
        ("db", "failed"),
    ]
    assert ", because api waits: workload db " in answer["sentence"]
    assert ", because db failed: " in answer["sentence"]
    assert answer["hint"] == told.status("db").hint
    own = why_document.why(engine.queries, "front", View(everything=False, own="front"))
    assert own["because"] == []
    assert "db" not in own["sentence"]
