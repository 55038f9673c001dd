"""Controllers: what converges beside the workloads has the same runs, journal, retries and reports."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, cast

from eventd.desired.controller_activation import Participant
from eventd.desired.controller_load import Loaded
from eventd.gates.model_facts import GateFact
from eventd.kernel.controller import Assessment, Controller
from eventd.kernel.model.action import Action
from eventd.kernel.model.action_table import ActionRow
from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.journal import Ending
from eventd.kernel.model.report import Outcome, RunResult, WorkloadState
from eventd.kernel.model.reversibility import benign
from eventd.mounts.model_events import MountOrigin
from eventd.platform.model_events import PlatformEvent
from eventd.workloads.controller_transaction import Transaction
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import QUIET, Story, container

LAMP = "lamp:hall"
POWER = FactKey(GateFact.PROBE, "power")


@dataclass(frozen=True, slots=True)
class Switch:
    """An action of the controller below."""

    workload: str
    on: bool
    why: str = "it is not as it should be"
    verb = "switch"

    @property
    def target(self) -> str:
        return "on" if self.on else "off"


@dataclass(slots=True)
class Lamps(Controller, Participant):
    """Keeps one lamp as the power fact says."""

    switch: Callable[[bool], None]
    is_on: Callable[[], bool]
    prefix: str = "lamp:"
    facts: Facts = field(default_factory=Facts)
    revisions: list[str] = field(default_factory=list)

    def attach(self, facts: Facts, dirty: Callable[[str], None]) -> None:
        self.facts = facts
        facts.watch((POWER,), lambda _key: dirty(LAMP))

    def activated(self, loaded: Loaded) -> None:
        self.revisions.append(loaded.desired.commit)

    def names(self) -> Collection[str]:
        return (LAMP,)

    def digest(self, name: str) -> str:
        return name

    def plan(self, name: str, *, forced: bool) -> tuple[Action, ...]:
        del forced
        wanted = self.facts.get(POWER) is True
        return () if self.is_on() == wanted else (cast("Any", Switch(name, wanted)),)

    def assess_idle(self, name: str) -> Assessment:
        del name
        return Assessment(message="as it should be")


@dataclass(slots=True)
class House:
    """The world of the lamp."""

    on: bool = False
    fails: int = 0
    tries: int = 0

    async def handle(self, action: Action, tx: Transaction) -> None:
        del tx
        switch: Any = action
        self.tries += 1
        if self.fails:
            self.fails -= 1
            raise TemporaryError("no contact", reason="no-contact")
        self.on = switch.on

    def story(self) -> Story:
        def set_on(on: bool) -> None:
            self.on = on

        return Story(
            controllers=lambda: (Lamps(set_on, lambda: self.on),),
            handlers={Switch: self.handle},
            actions=(
                ActionRow(Switch, Ending("the next plan switches it", "switched back by the fact"), benign),
            ),
        )


def power(story: Story, *, on: bool) -> None:
    story.dispatcher.emit(MountOrigin.UDEV, PlatformEvent.UNIT_CHANGED, "power", facts=[(POWER, on)])


@virtual()
async def test_a_fact_of_a_controller_makes_a_run_with_its_subject_in_it() -> None:
    """The subject is planned, carried out, journalled and reported as a workload is."""
    house = House()
    told = house.story()
    await told.begin(container("web"), QUIET)
    power(told, on=True)
    await told.quiet()
    assert house.on
    last = told.engine.queries.last_run
    assert last is not None
    assert [(row.name, row.outcome) for row in last.workloads] == [(LAMP, Outcome.OK)]
    assert told.status(LAMP).state is WorkloadState.CONVERGED
    assert told.status("web").state is WorkloadState.CONVERGED


@virtual()
async def test_what_fails_is_tried_again_with_the_backoff_and_fails_its_run() -> None:
    """No partial success: a volume that cannot be mounted fails the run as a workload does."""
    house = House(fails=1)
    told = house.story()
    await told.begin(container("web"), QUIET)
    results: list[RunResult] = []

    def note() -> None:
        last = told.engine.queries.last_run
        if last is not None and any(row.name == LAMP for row in last.workloads):
            results.append(last.result)

    told.engine.passes.subscribe("test", note)
    power(told, on=True)
    await told.quiet(0.1)
    assert told.status(LAMP).reason == "no-contact"
    assert results[-1] is RunResult.FAILED
    await told.quiet()
    assert house.on
    assert house.tries == 2
    assert told.status(LAMP).state is WorkloadState.CONVERGED


@virtual()
async def test_a_controller_is_given_each_desired_state_and_a_subject_is_known() -> None:
    """`activated` comes before the run that applies it."""
    house = House()
    told = house.story()
    await told.begin(container("web"), QUIET)
    commit = told.push(container("api"))
    await told.quiet()
    controller = told.engine.controllers.owner(LAMP)
    assert isinstance(controller, Lamps)
    assert controller.revisions[-1] == commit
    assert controller.takes(LAMP)
    assert not controller.takes("lamp:kitchen")
