"""Scope: eventd.compose.process_events: podman's event log from both programs."""

from __future__ import annotations

import pytest

from eventd.compose.process_events import Event, follow_command, matters, parse
from tests.unit.compose.stacks import RECORDED, made


@pytest.mark.parametrize("name", ["journal.jsonl", "podman_events.jsonl"])
def test_recorded_lines_are_read(name: str):
    """Both programs say the same: container, project, what, and health."""
    found = [parse(line) for line in (RECORDED / name).read_text().splitlines()]
    assert all(event is not None and len(event.id) == 64 and event.project == "demo" for event in found)
    whats = {(event.what, event.health) for event in found if event}
    assert ("start", "") in whats
    assert {what for what, _ in whats} <= {"start", "died", "health_status"}


@pytest.mark.parametrize("line", ["", "-- no entries --", "[]", "{}", '{"PODMAN_ID": [1, 2]}', '{"ID": 3}'])
def test_other_lines_do_no_harm(line: str):
    """Nothing of them leads to a container."""
    event = parse(line)
    assert event is None or event.id == ""


def test_the_same_result_of_a_health_check_again_does_not_matter():
    """One comes every few seconds; podman is not asked for that."""
    stack = (made("web", health="healthy"),)
    web = stack[0].id
    assert not matters(Event(web, "health_status", "healthy", "demo"), "demo", stack)
    assert matters(Event(web, "health_status", "unhealthy", "demo"), "demo", stack)
    assert matters(Event(web, "died", "", "demo"), "demo", stack)


def test_a_new_container_matters_where_it_is_of_the_project():
    """Others of the user's do not."""
    assert matters(Event("new", "start", "", "demo"), "demo", ())
    assert not matters(Event("new", "start", "", "other"), "demo", ())


def test_who_is_asked_depends_on_where_podman_logs():
    """The journal by journalctl, which is smaller; a file by podman; nobody where nothing is logged."""
    journal = follow_command("journald", project="demo", uid=1000, since=12.5)
    assert journal is not None
    assert journal[0] == "journalctl"
    assert {"--follow", "--no-tail", "--since=@12.500000", "_UID=1000"} <= set(journal)
    file = follow_command("file", project="demo", uid=1000, since=12.5)
    assert file is not None
    assert file[:2] == ["podman", "events"]
    assert "--filter=label=com.docker.compose.project=demo" in file
    assert follow_command("none", project="demo", uid=1000, since=12.5) is None
