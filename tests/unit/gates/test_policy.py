"""Scope: eventd_policies.gates: what is held, and what a person is told to do about it."""

from __future__ import annotations

import pytest

from eventd.gates.model import WorkloadGates
from eventd.gates.model_predicate_atoms import Present, UnitIs
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.verdicts import ALLOW, Hold, Verdict
from eventd.platform.model_facts import ActiveState, LoadState, PlatformFact, UnitState
from eventd.storage.model_facts import StorageFact
from eventd.workloads.controller_judging import UNSEEN
from eventd.workloads.model_actions import StartUnit
from eventd.workloads.model_case import Case
from eventd.workloads.model_records import Records
from eventd_policies.gates import gates

TARGET = "network-online.target"
IDLE = UnitState(TARGET, LoadState.LOADED, ActiveState.INACTIVE)


def asked(state: UnitState | None, wanted: str = "active", workload: str = "") -> Verdict:
    """What is said of a start that waits for a unit, whose state is this."""
    facts = Facts()
    facts.set(FactKey(PlatformFact.UNIT, TARGET, workload), state)
    requires = UnitIs(f"unit:{TARGET}", TARGET, wanted, workload)
    action = StartUnit("web", "web.service", digest="", why="", timeout=1.0)
    return gates(Case(action, None, UNSEEN, Records(), facts, WorkloadGates(requires=requires)))


def test_what_holds_is_let_through() -> None:
    """A unit that is up."""
    assert asked(UnitState(TARGET, LoadState.LOADED, ActiveState.ACTIVE)) == ALLOW


def test_a_unit_that_nothing_starts_is_named_with_what_to_do() -> None:
    """A target that no enabled unit wants stays inactive for ever: waiting is not the answer."""
    found = asked(IDLE)
    assert isinstance(found, Hold)
    assert f"systemctl add-wants multi-user.target {TARGET}" in found.hint


@pytest.mark.parametrize(
    ("state", "wanted", "workload"),
    [
        (None, "active", ""),
        (UnitState(TARGET, LoadState.LOADED, ActiveState.INACTIVE, job=7), "active", ""),
        (UnitState(TARGET, LoadState.LOADED, ActiveState.ACTIVATING), "active", ""),
        (UnitState(TARGET, LoadState.NOT_FOUND, ActiveState.INACTIVE), "active", ""),
        (IDLE, "failed", ""),
        (IDLE, "active", "db"),
    ],
    ids=["unseen", "queued", "coming", "not-installed", "another-state", "of-a-workload"],
)
def test_what_may_yet_come_gets_no_such_hint(state: UnitState | None, wanted: str, workload: str) -> None:
    """It is on its way, or to start it is not the answer, or not the operator's business."""
    found = asked(state, wanted, workload)
    assert isinstance(found, Hold)
    assert found.hint == ""


def test_a_volume_that_is_away_says_how_it_comes_back() -> None:
    """An ejected disk may be plugged in: then it is a command, and no cable, that is missing."""
    requires = Present("volume:media", StorageFact.VOLUME, "media")
    action = StartUnit("web", "web.service", digest="", why="", timeout=1.0)
    found = gates(Case(action, None, UNSEEN, Records(), Facts(), WorkloadGates(requires=requires)))
    assert isinstance(found, Hold)
    assert "eventctl storage attach media" in found.hint
