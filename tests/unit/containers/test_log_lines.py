"""Which journal entries of an account are its workload's log; the entries are cut down from a real host's."""

from __future__ import annotations

from typing import Any

import pytest

from eventd.containers import commands_log_lines as log_lines
from eventd.containers.commands_log_lines import Entry

ID = "4537e9c37052cefebcf76dbf4c0cabcd5f150247ae64873c82a06efe2103ed31"
CHECK = f"{ID}-5352a4b1fb87d7dc.service"
NOISE: dict[str, Entry] = {
    "an event of podman": {
        "_COMM": "podman",
        "_SYSTEMD_USER_UNIT": "web.service",
        "PODMAN_EVENT": "start",
        "MESSAGE": f"2026-11-28 18:56:22.803466176 +0000 UTC m=+0.0 container start {ID}",
    },
    "a health check that went well": {
        "_COMM": "podman",
        "_SYSTEMD_USER_UNIT": CHECK,
        "PODMAN_EVENT": "health_status",
        "PODMAN_HEALTH_STATUS": "healthy",
        "MESSAGE": "2026-11-28 18:58:16.98 container health_status",
    },
    "the manager of a health check's unit": {
        "_COMM": "systemd",
        "USER_UNIT": CHECK,
        "MESSAGE": f"Started {CHECK} - [systemd-run] /usr/bin/podman healthcheck run {ID}.",
    },
    "a warning of conmon's": {
        "_COMM": "conmon",
        "SYSLOG_IDENTIFIER": "conmon",
        "_SYSTEMD_USER_UNIT": "web.service",
        "MESSAGE": "conmon 4537e9c37052cefebcf7 <nwarn>: Failed to add inotify watch for /sys/fs/cgroup/memory",
    },
    "one that came after conmon had ended": {
        "SYSLOG_IDENTIFIER": "conmon",
        "MESSAGE": "conmon 4537e9c37052cefebcf7 <nwarn>: Failed to open cgroups file",
    },
    "the id that podman run prints": {"_COMM": "podman", "_SYSTEMD_USER_UNIT": "web.service", "MESSAGE": ID},
    "the API service": {
        "_COMM": "podman",
        "_SYSTEMD_USER_UNIT": "podman.service",
        "MESSAGE": '@ - - [28/Nov/2026:18:56:23 +0000] "GET /v1.41/info HTTP/1.1" 200',
    },
    "a target": {
        "_COMM": "systemd",
        "USER_UNIT": "default.target",
        "MESSAGE": "Reached target default.target.",
    },
    "the manager's own start": {
        "_COMM": "systemd",
        "_SYSTEMD_USER_UNIT": "init.scope",
        "MESSAGE": "Startup finished",
    },
    "what eventctl runs": {"_COMM": "systemd", "USER_UNIT": "eventctl-1f.service", "MESSAGE": "Started"},
    "the accounting": {
        "_COMM": "systemd",
        "USER_UNIT": "web.service",
        "MESSAGE_ID": "ae8f7b866b0347b9af31fe1c80b127c0",
        "MESSAGE": "web.service: Consumed 30ms CPU time",
    },
}
LINES: dict[str, tuple[Entry, str, str]] = {
    "a container of a Quadlet file": (
        {
            "_COMM": "conmon",
            "CONTAINER_NAME": "systemd-web",
            "_SYSTEMD_USER_UNIT": "web.service",
            "MESSAGE": "hi\n",
        },
        "web",
        "hi",
    ),
    "a container of a stack": (
        {
            "_COMM": "conmon",
            "CONTAINER_NAME": "stack-a-1",
            "_SYSTEMD_USER_UNIT": f"libpod-conmon-{ID}.scope",
            "MESSAGE": "hello from a\n",
        },
        "stack-a-1",
        "hello from a",
    ),
    "a container that prints what looks like an id": (
        {"_COMM": "conmon", "CONTAINER_NAME": "systemd-web", "MESSAGE": ID},
        "web",
        ID,
    ),
    "the manager about a unit": (
        {
            "_COMM": "systemd",
            "USER_UNIT": "web.service",
            "MESSAGE": "web.service: Failed with result 'exit-code'.",
        },
        "web.service",
        "web.service: Failed with result 'exit-code'.",
    ),
    "podman's error in a unit": (
        {"_COMM": "podman", "_SYSTEMD_USER_UNIT": "web.service", "MESSAGE": "Error: image not known"},
        "web.service",
        "Error: image not known",
    ),
    "an error of conmon's": (
        {
            "SYSLOG_IDENTIFIER": "conmon",
            "_SYSTEMD_USER_UNIT": "web.service",
            "MESSAGE": "conmon 45 <error>: no tty",
        },
        "web.service",
        "conmon 45 <error>: no tty",
    ),
    "a health check that failed": (
        {
            "_COMM": "podman",
            "_SYSTEMD_USER_UNIT": CHECK,
            "PODMAN_EVENT": "health_status",
            "PODMAN_HEALTH_STATUS": "unhealthy",
            "PODMAN_NAME": "systemd-web",
            "MESSAGE": "2026-11-28 container health_status",
        },
        "web",
        "unhealthy",
    ),
    "bytes that are not UTF-8": (
        {"CONTAINER_NAME": "web", "MESSAGE": [101, 255, 27, 10]},
        "web",
        "e\\xff\x1b",
    ),
}


@pytest.mark.parametrize("entry", NOISE.values(), ids=NOISE)
def test_what_podman_and_the_manager_say_of_themselves_is_noise(entry: Entry) -> None:
    """It is left out unless it is asked for."""
    line = log_lines.read(entry)
    assert line is not None
    assert line.noise


@pytest.mark.parametrize(("entry", "source", "text"), LINES.values(), ids=LINES)
def test_what_the_workload_says_is_kept(entry: Entry, source: str, text: str) -> None:
    """With who said it."""
    line = log_lines.read(entry)
    assert line is not None
    assert (line.noise, line.source, line.text) == (False, source, text)


@pytest.mark.parametrize("message", [None, 3, [], [None], {"a": 1}])
def test_an_entry_without_text_is_no_line(message: Any) -> None:
    """Whatever stands in its place."""
    assert log_lines.read({"MESSAGE": message}) is None


@pytest.mark.parametrize("priority", ["9", "", "x", None, ["1", "2"]])
def test_a_priority_that_is_none_counts_as_info(priority: Any) -> None:
    """The field is the workload's to write."""
    line = log_lines.read({"MESSAGE": "m", "CONTAINER_NAME": "c", "PRIORITY": priority})
    assert line is not None
    assert line.priority in {1, 6}
