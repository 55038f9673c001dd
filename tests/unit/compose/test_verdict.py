"""Scope: eventd.compose.process_verdict: when a stack is up, what is final, and what has to go before a start."""

from __future__ import annotations

import pytest

from eventd.compose.process_verdict import Condition, Verdict, judge, leftovers, refuse_foreign
from tests.unit.compose.stacks import made, recorded

LATER = 1795250000.0
"""Long after the recordings."""


def conditions(verdict: Verdict) -> dict[str, Condition]:
    return {finding.name: finding.condition for finding in verdict.findings}


@pytest.mark.parametrize("name", ["good", "restarted", "completed", "podman_compose"])
def test_a_stack_that_runs_and_is_healthy_is_up(name: str):
    """Recorded from real ones, one of them with a migration that has completed."""
    verdict = judge(tuple(recorded(name).values()), now=LATER, settle=1)
    assert verdict.up, verdict.summary()
    assert verdict.summary() == "2 of 2 containers up"
    assert verdict.look_at is None


def test_nothing_is_not_up():
    """A stack without containers is no success."""
    assert not judge((), now=LATER, settle=1).up


def test_a_container_without_a_health_check_has_to_stay_up_for_a_while():
    """Podman calls a program that is about to fall over running; when to look again is said."""
    verdict = judge((made(started=1000.0),), now=1000.5, settle=1)
    assert conditions(verdict) == {"demo-web-1": Condition.SETTLING}
    assert verdict.look_at == 1001.0
    assert judge((made(started=1000.0),), now=1001.0, settle=1).up


def test_a_clock_that_was_set_back_is_not_waited_for():
    """The start lies in the future: it is taken as it is."""
    assert judge((made(started=5000.0),), now=1000.0, settle=1).up


def test_a_healthy_container_does_not_have_to_settle():
    """Its health check has said so."""
    assert judge((made(health="healthy", started=1000.0),), now=1000.1, settle=1).up


def test_unhealthy_and_ended_are_final():
    """And named; what only starts is waited for."""
    stack = (
        made("a", health="unhealthy"),
        made("b", state="exited", exit_code=3),
        made("c", health="starting"),
    )
    verdict = judge(stack, now=LATER, settle=1)
    assert [str(one) for one in verdict.broken] == ["demo-a-1 is unhealthy", "demo-b-1 exited with status 3"]
    assert conditions(verdict)["demo-c-1"] is Condition.STARTING
    assert not verdict.up


def test_recorded_failures_are_told():
    """One that ended with 3 and one whose first checks fail."""
    verdict = judge(tuple(recorded("sick_exited").values()), now=LATER, settle=1)
    assert verdict.summary() == "demo-plain-1 exited with status 3; demo-web-1 is not healthy yet"


@pytest.mark.parametrize(
    ("policy", "status", "condition"),
    [
        ("no", 0, Condition.EXITED),
        ("no", 1, Condition.EXITED),
        ("on-failure", 0, Condition.EXITED),
        ("on-failure", 1, Condition.RESTARTING),
        ("always", 0, Condition.RESTARTING),
        ("unless-stopped", 1, Condition.RESTARTING),
    ],
)
def test_whoever_is_started_again_by_podman_is_waited_for(policy: str, status: int, condition: Condition):
    """By its restart policy."""
    one = made(state="exited", exit_code=status, restart_policy=policy)
    assert conditions(judge((one,), now=LATER, settle=1)) == {"demo-web-1": condition}


def test_a_crash_loop_is_never_up():
    """Recorded: at each look it has just been started again."""
    stack = recorded("crash_loop")
    verdict = judge(tuple(stack.values()), now=stack["plain"].started + 0.1, settle=1)
    assert verdict.summary() == "demo-plain-1 has run for less than 1 s (started again 13 times)"


@pytest.mark.parametrize(
    ("status", "condition"), [(0, Condition.COMPLETED), (1, Condition.EXITED)], ids=["with 0", "with 1"]
)
def test_one_that_is_meant_to_end_has_to_end_well(status: int, condition: Condition):
    """A migration that failed fails the stack."""
    one = made(state="exited", exit_code=status, completes=True)
    assert conditions(judge((one,), now=LATER, settle=1)) == {"demo-web-1": condition}


def test_one_that_is_meant_to_end_is_not_up_before():
    """It runs, and others wait for it."""
    assert not judge((made(completes=True),), now=LATER, settle=1).up


def test_a_service_without_a_container_is_missing():
    """Whoever removed it."""
    verdict = judge((made("web"),), now=LATER, settle=1, expected=["web", "db"])
    assert verdict.summary() == "db has no container"


def test_a_paused_or_unmonitored_container_is_not_up():
    """Recorded paused; podman calls the other one running."""
    paused = judge(tuple(recorded("paused").values()), now=LATER, settle=1)
    assert paused.summary() == "demo-app-1 is paused"
    lost = judge((made(state="unmonitored"),), now=LATER, settle=1)
    assert lost.summary() == "demo-web-1 has lost its monitor process"
    assert lost.broken


# Before a start.


def why(stack: tuple[object, ...], **options: object) -> dict[str, str]:
    found = leftovers(stack, **({"unit": "demo.service", "now": 1100.0, "stuck_after": 120.0} | options))  # type: ignore[arg-type]
    return {one.container.service: one.why for one in found}


def test_what_runs_and_is_well_stays():
    """No start restarts it for nothing."""
    assert why((made("a"), made("b", health="healthy"), made("c", unit="demo.service"))) == {}
    assert why(tuple(recorded("completed").values()), now=LATER) == {}


def test_what_does_not_run_or_is_unhealthy_goes():
    """`compose up` would start the first as it is, and leave the second alone."""
    stack = (made("a", state="exited"), made("b", health="unhealthy"), made("c", state="unmonitored"))
    assert why(stack) == {
        "a": "is left over in the state 'exited'",
        "b": "is unhealthy",
        "c": "is left over in the state 'unmonitored'",
    }


def test_a_first_health_check_that_never_comes_is_stale():
    """Its timer went with an older user manager; a young one is waited for."""
    stack = (made("a", health="starting", started=900.0), made("b", health="starting", started=1000.0))
    assert why(stack) == {"a": "had no result of a health check for 200 s"}


def test_a_container_of_another_unit_is_foreign():
    """Refused while that unit is active, else it goes; without a unit of our own nothing is foreign."""
    stack = (made("a", unit="other.service"), made("b", unit="gone.service"))
    found = leftovers(stack, unit="demo.service", now=1100.0, stuck_after=120.0)
    assert [one.foreign for one in found] == [True, True]
    refused = refuse_foreign(found, lambda unit: unit == "other.service")
    assert [one.container.service for one in refused] == ["a"]
    assert why(stack, unit="") == {}
