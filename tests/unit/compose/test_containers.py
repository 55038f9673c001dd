"""Scope: eventd.compose.process_containers: what podman prints, as values."""

from __future__ import annotations

import copy

from eventd.compose.process_containers import completing, containers, stop_order, unmonitored
from tests.unit.compose.stacks import documents, made, recorded


def test_a_stack_of_docker_compose_is_read():
    """Service, state, health, monitor, image and start time of what ran."""
    stack = recorded("good")
    assert set(stack) == {"web", "plain"}
    web = stack["web"]
    assert (web.name, web.state, web.health, web.restart_policy, web.unit) == (
        "demo-web-1",
        "running",
        "healthy",
        "no",
        "",
    )
    assert web.conmon == 9693
    assert web.image == "localhost/busybox:1"
    assert abs(web.started - 1795241852.785) < 0.001
    assert stack["plain"].health == ""


def test_a_stack_of_podman_compose_is_read():
    """Its label of the unit comes from the environment that the supervisor gives it."""
    stack = recorded("podman_compose")
    assert set(stack) == {"web", "plain"}
    assert {one.unit for one in stack.values()} == {"demo.service"}
    assert stack["web"].health == "healthy"


def test_an_ended_container_has_no_monitor():
    """The recorded process id may be another process's by now."""
    plain = recorded("sick_exited")["plain"]
    assert (plain.state, plain.exit_code, plain.conmon) == ("exited", 3, 0)


def test_a_disabled_health_check_is_none():
    """`healthcheck: {disable: true}` is the test NONE; and one that has not run yet is `starting`."""
    found = copy.deepcopy(documents("good"))
    for document in found:
        document["Config"]["Healthcheck"] = {"Test": ["NONE"]}
    assert {one.health for one in containers(found)} == {""}
    found[0]["Config"]["Healthcheck"] = {"Test": ["CMD", "true"]}
    found[0]["State"].pop("Health", None)
    assert [one.health for one in containers(found)] == ["starting", ""]


def test_a_container_of_compose_run_is_none_of_the_stack():
    """Somebody's `compose run` may end as it likes."""
    found = copy.deepcopy(documents("good"))
    found[0]["Config"]["Labels"]["com.docker.compose.oneoff"] = "True"
    assert len(containers(found)) == 1


def test_a_container_that_was_never_started_has_no_start():
    """Podman prints the year 1."""
    found = copy.deepcopy(documents("good"))
    found[0]["State"]["StartedAt"] = "0001-01-01T00:00:00Z"
    assert 0.0 in {one.started for one in containers(found)}


def test_who_is_waited_for_completes():
    """By docker-compose's label on the one that waits, or by a label of its own."""
    assert completing(tuple(recorded("completed").values())) == {"migrate"}
    assert completing((made("a", completes=True), made("b"))) == {"a"}


def test_dependents_are_stopped_before_what_they_need():
    """Layer by layer; a cycle, which no provider accepts, ends at once."""
    needs_db = (("db", "service_started"),)
    stack = (made("db"), made("app", depends=needs_db), made("web", depends=(("app", "service_healthy"),)))
    assert [[one.service for one in group] for group in stop_order(stack)] == [["web"], ["app"], ["db"]]
    cycle = (made("a", depends=(("b", ""),)), made("b", depends=(("a", ""),)))
    assert [len(group) for group in stop_order(cycle)] == [2]


def test_a_container_without_its_monitor_is_known_as_such():
    """Podman calls it running for ever."""
    stack = unmonitored((made("a", conmon=7), made("b", conmon=8)), {7})
    assert [(one.state, one.conmon) for one in stack] == [("unmonitored", 0), ("running", 8)]
