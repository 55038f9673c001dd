"""Scope: eventd.gates.source_probes: when what is asked, on virtual time, with a prober that answers as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from eventd.gates import source_probes as probes
from eventd.gates.model_events import GateEvent, GateOrigin
from eventd.gates.model_facts import GateFact
from eventd.gates.model_predicate_atoms import Probe, ProbeKind
from eventd.gates.probe.protocol import Answer, Outcome
from eventd.gates.source_probes import ProbesSource
from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd_simulators.virtual_time import virtual
from tests.unit.kernel.recorder import Recorder

CONFIRMED = 2.0
"""Seconds in which several bad answers in a row have made a yes a no."""
GOOD, REFUSED = Answer(Outcome.ANSWERED), Answer(Outcome.REFUSED)
DB = Probe(ProbeKind.TCP, "tcp:db:5432", "db", 5432)
WEB = Probe(ProbeKind.HTTP, "http://web/=200", "web", 80, "http://web/", 200)
ANY = Probe(ProbeKind.HTTP, "http://web/", "web", 80, "http://web/")


class FakeProber:
    """Answers what the test has set, and remembers who asked when."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer | Exception] = {}
        self.script: list[Answer] = []
        """What it answers before that."""
        self.takes = 0.0
        self.asked: list[tuple[float, str]] = []
        self.stops = 0
        self.running = 0
        self.most = 0

    async def ask(self, probe: Probe, *, timeout: float) -> Answer:
        assert 0 < timeout <= 10
        self.asked.append((asyncio.get_running_loop().time(), probe.text))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.running -= 1
        answer = self.script.pop(0) if self.script else self.answers.get(probe.text, REFUSED)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def stop(self) -> None:
        self.stops += 1

    def times(self, text: str = DB.text) -> list[float]:
        """Return when it was asked, in seconds since it was asked first."""
        found = [time for time, asked in self.asked if asked == text]
        return [round(time - found[0], 3) for time in found]


@asynccontextmanager
async def running(emit: Recorder, prober: FakeProber) -> AsyncIterator[ProbesSource]:
    source = ProbesSource(emit, prober, jitter=lambda: 0.0)
    async with anyio.create_task_group() as group:
        await group.start(source.run)
        yield source
        group.cancel_scope.cancel()


def wanted(*each: Probe) -> dict[str, Probe]:
    return {probe.text: probe for probe in each}


@virtual()
async def test_nothing_is_asked_that_is_not_wanted() -> None:
    """No gate waits, so there is no traffic, for ever."""
    emit, prober = Recorder(), FakeProber()
    async with running(emit, prober) as source:
        await asyncio.sleep(3600)
        source.want(wanted(DB))
        await asyncio.sleep(1)
        source.want({})
        await asyncio.sleep(0.1)
        asked = len(prober.asked)
        await asyncio.sleep(3600)
        assert len(prober.asked) == asked > 0


@virtual()
async def test_a_no_is_asked_again_less_and_less_often() -> None:
    """The pauses double from half a second up to half a minute."""
    prober = FakeProber()
    async with running(Recorder(), prober) as source:
        source.want(wanted(DB))
        await asyncio.sleep(124)
    assert prober.times() == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5, 91.5, 121.5]


@virtual()
async def test_the_answer_is_an_event_when_it_is_another() -> None:
    """The first answer, and each that differs from the one before, is one event with the fact; others are none."""
    emit, prober = Recorder(), FakeProber()
    async with running(emit, prober) as source:
        source.want(wanted(DB))
        await asyncio.sleep(20)
        assert [(s.origin, s.kind, s.subject) for s in emit.seen] == [
            (GateOrigin.PROBE, GateEvent.PROBED, DB.text)
        ]
        assert emit.seen[0].attributes == {"good": False, "outcome": "refused", "status": 0}
        assert emit.fact(GateFact.PROBE, DB.text) is False
        prober.answers[DB.text] = GOOD
        await asyncio.sleep(60)
        assert emit.fact(GateFact.PROBE, DB.text) is True
        assert len(emit.seen) == 2
        prober.answers[DB.text] = REFUSED
        await asyncio.sleep(probes.AGAIN + CONFIRMED)
        assert emit.fact(GateFact.PROBE, DB.text) is False
        assert len(emit.seen) == 3


@virtual()
async def test_one_bad_answer_after_a_good_one_is_no_news() -> None:
    """A workload may be restarted for a no: it takes several in a row, asked for one soon after the other."""
    emit, prober = Recorder(), FakeProber()
    prober.answers[DB.text] = GOOD
    async with running(emit, prober) as source:
        source.want(wanted(DB))
        await asyncio.sleep(0.1)
        for bad in range(1, probes.IN_A_ROW + 1):
            prober.script = [REFUSED] * bad
            source.poke()
            await asyncio.sleep(probes.AGAIN)
            assert not prober.script
            good = [signal.attributes["good"] for signal in emit.seen]
            assert good == ([True] if bad < probes.IN_A_ROW else [True, False, True])


@virtual()
async def test_a_status_is_judged_by_the_probe() -> None:
    """`=200` takes 200 and nothing else; without a status 200 to 399 are good."""
    emit, prober = Recorder(), FakeProber()
    moved = Answer(Outcome.ANSWERED, 301)
    prober.answers = {WEB.text: moved, ANY.text: moved}
    async with running(emit, prober) as source:
        source.want(wanted(WEB, ANY))
        await asyncio.sleep(0.1)
        assert emit.fact(GateFact.PROBE, WEB.text) is False
        assert emit.fact(GateFact.PROBE, ANY.text) is True
        prober.answers[ANY.text] = Answer(Outcome.ANSWERED, 500)
        await asyncio.sleep(11 + CONFIRMED)
        assert emit.fact(GateFact.PROBE, ANY.text) is False


@virtual()
async def test_a_poke_asks_at_once_and_begins_the_pauses_anew() -> None:
    """What happened on this host may have changed the answer: no pause is waited out."""
    prober = FakeProber()
    async with running(Recorder(), prober) as source:
        source.want(wanted(DB, WEB))
        await asyncio.sleep(100)
        source.poke()
        await asyncio.sleep(2)
        for text in (DB.text, WEB.text):
            assert prober.times(text)[-3:] == [100, 100.5, 101.5]
        source.poke([DB.text])
        await asyncio.sleep(0.1)
        assert prober.times(DB.text)[-1] == 102
        assert prober.times(WEB.text)[-1] == 101.5


@virtual()
async def test_a_poke_during_a_question_asks_once_more_after_it() -> None:
    """The answer that is under way may be of before; a hundred pokes are one more question."""
    prober = FakeProber()
    prober.takes = 3.0
    async with running(Recorder(), prober) as source:
        source.want(wanted(DB))
        await asyncio.sleep(1)
        for _ in range(100):
            source.poke()
        await asyncio.sleep(5)
    assert prober.times() == [0, 3.2]


@virtual()
async def test_pokes_in_a_row_do_not_hammer() -> None:
    """However often it is poked, there are at most five questions a second for one probe."""
    prober = FakeProber()
    async with running(Recorder(), prober) as source:
        source.want(wanted(DB))
        for _ in range(1000):
            source.poke()
            await asyncio.sleep(0.01)
    assert 40 <= len(prober.asked) <= 51


@virtual()
async def test_what_is_no_longer_wanted_is_forgotten() -> None:
    """The fact is gone at once, an answer under way does not bring it back, and others are left alone."""
    emit, prober = Recorder(), FakeProber()
    prober.answers = {DB.text: GOOD, WEB.text: Answer(Outcome.ANSWERED, 200)}
    async with running(emit, prober) as source:
        source.want(wanted(DB, WEB))
        await asyncio.sleep(1)
        assert emit.fact(GateFact.PROBE, DB.text) is True
        prober.takes = 1.0
        source.poke()
        await asyncio.sleep(0.5)
        assert prober.running == 2
        source.want(wanted(WEB))
        await asyncio.sleep(10)
        assert emit.fact(GateFact.PROBE, DB.text) is None
        assert emit.fact(GateFact.PROBE, WEB.text) is True
        assert prober.stops == 1  # as it began; not while something is wanted
        source.want({})
        await asyncio.sleep(0.1)
        assert prober.stops == 2


@virtual()
async def test_an_answer_in_the_very_turn_in_which_it_is_given_up_is_dropped() -> None:
    """The answer is there, but not taken yet, when the fact is forgotten: it does not come back."""
    emit, prober = Recorder(), FakeProber()
    prober.answers[DB.text] = GOOD
    prober.takes = 1.0
    async with running(emit, prober) as source:
        loop = asyncio.get_running_loop()
        loop.call_at(loop.time() + 1.0, source.want, {})  # due before the answer, by its number
        source.want(wanted(DB))
        await asyncio.sleep(5)
        assert prober.times() == [0]
        assert emit.seen == []


@virtual()
async def test_wanting_can_be_changed_back_within_a_turn() -> None:
    """A gate that is recomputed drops and wants the same probe in one go: nothing is forgotten or restarted."""
    emit, prober = Recorder(), FakeProber()
    prober.answers[DB.text] = GOOD
    async with running(emit, prober) as source:
        source.want(wanted(DB))
        await asyncio.sleep(1)
        source.want({})
        source.want(wanted(DB))
        await asyncio.sleep(1)
        assert emit.fact(GateFact.PROBE, DB.text) is True
        assert len(emit.seen) == 1
        assert prober.times() == [0]


@virtual()
async def test_a_probe_of_the_same_name_that_asks_something_else_is_another() -> None:
    """When its definition changes, the old answer does not count for it."""
    emit, prober = Recorder(), FakeProber()
    prober.answers[DB.text] = GOOD
    async with running(emit, prober) as source:
        source.want(wanted(DB))
        await asyncio.sleep(1)
        prober.takes = 5.0
        source.want({DB.text: Probe(ProbeKind.TCP, DB.text, "elsewhere", 1)})
        await asyncio.sleep(1)
        assert emit.fact(GateFact.PROBE, DB.text) is None


@virtual()
async def test_a_broken_prober_says_nothing_about_the_network() -> None:
    """While nobody can ask, what was known stays, and it is tried again."""
    emit, prober = Recorder(), FakeProber()
    prober.answers[DB.text] = GOOD
    async with running(emit, prober) as source:
        source.want(wanted(DB))
        await asyncio.sleep(1)
        for error in (TemporaryError("crashed"), PermanentError("no account")):
            prober.answers[DB.text] = error
            await asyncio.sleep(60)
            assert emit.fact(GateFact.PROBE, DB.text) is True
        prober.answers[DB.text] = REFUSED
        await asyncio.sleep(60)
        assert emit.fact(GateFact.PROBE, DB.text) is False


@virtual()
async def test_many_are_asked_side_by_side_but_not_all_at_once() -> None:
    """A slow peer does not hold up the others, and a thousand probes are not a thousand connections."""
    prober = FakeProber()
    prober.takes = 5.0
    many = [Probe(ProbeKind.TCP, f"tcp:h{n}:1", f"h{n}", 1) for n in range(200)]
    async with running(Recorder(), prober) as source:
        source.want(wanted(*many))
        await asyncio.sleep(40)
    assert prober.most == probes.AT_ONCE
    assert len({text for _, text in prober.asked}) == 200


@virtual()
async def test_many_do_not_ask_in_step() -> None:
    """Jitter takes up to a fifth off a pause, never adds to it."""
    prober = FakeProber()
    source = ProbesSource(Recorder(), prober, jitter=lambda: 0.999)
    async with anyio.create_task_group() as group:
        await group.start(source.run)
        source.want(wanted(DB))
        await asyncio.sleep(1)
        group.cancel_scope.cancel()
    assert 0.4 <= prober.times()[1] < 0.41


@virtual()
async def test_started_again_it_goes_on_asking() -> None:
    """What ended it ended whoever asked; what is wanted is asked anew, and its fact is not left as it was for ever."""
    prober, emit = FakeProber(), Recorder()
    prober.answers = {DB.text: GOOD, WEB.text: REFUSED}
    source = ProbesSource(emit, prober, jitter=lambda: 0.0)
    source.want(wanted(DB, WEB))

    async def until_a_bug() -> None:
        async with anyio.create_task_group() as group:
            await group.start(source.run)
            await emit.until(lambda: emit.facts.get(WEB.key) is False)
            prober.answers[WEB.text] = ValueError("a bug")

    with pytest.raises(ExceptionGroup):
        await until_a_bug()
    assert emit.facts.get(DB.key) is True
    prober.answers = {DB.text: REFUSED, WEB.text: Answer(Outcome.ANSWERED, 200)}
    async with anyio.create_task_group() as group:
        await group.start(source.run)
        await emit.until(lambda: emit.facts.get(DB.key) is False)
        await emit.until(lambda: emit.facts.get(WEB.key) is True)
        group.cancel_scope.cancel()
