"""Scope: `eventd.platform.processes.isolated`, and that the sources start what serves one scope through it."""

from __future__ import annotations

import ast
from pathlib import Path

import anyio

import eventd
from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.platform.processes.isolated import isolated

WHOLE = {
    "platform/systemd/source_logind.py": {"keep_connected"},  # the connection to the system's bus
    "managers/source.py": {"self._keep"},  # runs each link through `isolated`
    "audit/source.py": {"self._alone"},  # looks at each user through `isolated`
    "files/source_named.py": {"first", "self._alone"},  # look at each workload's through `isolated`
    "platform/resync.py": {"read_one"},  # reads each source through `isolated`, with a deadline
    "gates/source_probes.py": {"self._repeat"},  # what answers is one process of eventd's own
    "sources.py": {"supervise", "each.run"},  # starts each source; what all stand on ends the daemon
    # Each ends with the one unit that it reads from, and whoever reads is told how.
    "platform/processes/line_unit.py": {
        "self._run(self._unit)",
        "self._unit.running.wait()",
        "self._ending.wait()",
    },
    "platform/dbus/connection.py": {"self._watch()"},  # ends with its connection, and closes it
}
"""Tasks that sources, and what they are made of, start otherwise, and why that is right."""


async def test_what_goes_wrong_for_one_ends_nobody_else():
    """Also what nobody thought of; whose it is gets told with a sentence, without what the exception quotes."""
    told: list[EventdError] = []
    done = anyio.Event()

    async def bug() -> None:
        raise IndexError("\x1b[2J hunter2")

    async def lost() -> None:
        raise TemporaryError("the bus was lost", reason="disconnected")

    async with anyio.create_task_group() as group:
        group.start_soon(isolated, "folders of evil", bug, told.append)
        group.start_soon(isolated, "folders of good", lost, told.append)
        await anyio.wait_all_tasks_blocked()
        done.set()
    assert done.is_set()
    assert [error.reason for error in told] == ["bad-reply", "disconnected"]
    assert "hunter2" not in str(told[0])


def test_sources_start_what_serves_one_scope_through_it():
    """A task that one workload's words can end must not be a member of a group that serves all."""
    found: dict[str, set[str]] = {}
    top = Path(eventd.__path__[0])
    for path in (*top.rglob("source*.py"), *(top / "platform").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            func = node.func if isinstance(node, ast.Call) else None
            if isinstance(func, ast.Attribute) and func.attr in ("start_soon", "create_task"):
                found.setdefault(str(path.relative_to(top)), set()).add(ast.unparse(node.args[0]))
    assert {name: found.get(name, set()) & started for name, started in WHOLE.items()} == WHOLE, "not needed"
    for name, started in found.items():
        assert started - {"isolated"} <= WHOLE.get(name, set()), f"{name}: start it through `isolated`"
