"""One scenario for the real host and the simulated one, and how their traces are made comparable.

What is compared: per unit, the order of its states and the beginnings and ends of its jobs, step by step,
and properties. What is not: times, the order between units that nothing orders, and what other units of a
real host do.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Any

from eventd_simulators.model.behaviours import Behaviour

RUN = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
INSTALL = "[Install]\nWantedBy=default.target\n"


def _container(command: str, more: str = "", tail: str = "") -> str:
    return f'[Container]\nImage=localhost/busybox:1\nExec=sh -c "{command}"\n{more}{tail}'


TOLD = "until rm /go/%s.service 2>/dev/null; do sleep 0.1; done; "
"""Waits until the recorder was told that the unit runs. Without, a container that ends at once races its own
podman: conmon may have ended before podman names it as the main process, and the exit status is another's."""
LIMITED = "[Unit]\nStartLimitIntervalSec=1h\n"
"""Five starts reach the limit, also where one takes longer than the two seconds which ten would leave each."""


def _ends(name: str, status: int, more: str = "") -> str:
    return _container(f"{TOLD % name}exit {status}", more="Volume=GO:/go\n", tail=more)


FILES = {
    "web.container": _container(RUN, tail=INSTALL),
    "stubborn.container": "[Container]\nImage=localhost/busybox:1\nExec=sleep 1000\nStopTimeout=1\n",
    "term.container": _container(RUN.replace("exit 0", "exit 143")),
    "missing.container": "[Container]\nImage=localhost/missing:1\nPull=never\n",
    "loop.container": _ends("loop", 3, f"[Service]\nRestart=always\n{LIMITED}"),
    "clean.container": _ends("clean", 0, f"[Service]\nRestart=always\n{LIMITED}"),
    "fail.container": _ends("fail", 3),
    "done.container": _ends("done", 0),
    "healthy.container": _container(RUN, more="HealthCmd=true\nNotify=healthy\n"),
    "dep.container": _container(RUN, more="Volume=v.volume:/v\n"),
    "v.volume": "[Volume]\n",
    "one.container": _container("exit 0", tail="[Service]\nType=oneshot\n"),
}
"""Quadlet files, with images that the real host's tree has. `place` puts them."""
BEHAVIOURS = {
    "stubborn.service": Behaviour(ignores_term=True),
    "term.service": Behaviour(stop_status=143),
    "loop.service": Behaviour(runs_for=0.05, status=3),
    "clean.service": Behaviour(runs_for=0.05),
    "fail.service": Behaviour(runs_for=0.5, status=3),
    "done.service": Behaviour(runs_for=0.5),
}
"""What their commands do, for the simulated host."""
NEW_FILE = "new.container"
STEPS: list[list[Any]] = [
    ["show", "web.service"],
    ["job", "StopUnit", "web.service"],
    ["show", "web.service"],
    ["job", "StartUnit", "web.service"],
    ["job", "StartUnit", "web.service"],
    ["job", "RestartUnit", "web.service"],
    ["show", "web.service"],
    ["job", "StartUnit", "stubborn.service"],
    ["job", "StopUnit", "stubborn.service"],
    ["show", "stubborn.service"],
    ["job", "StartUnit", "term.service"],
    ["job", "StopUnit", "term.service"],
    ["show", "term.service"],
    ["job", "StartUnit", "missing.service"],
    ["show", "missing.service"],
    ["reset", "missing.service"],
    ["until", "missing.service", "UnitRemoved"],
    ["job", "StartUnit", "loop.service"],
    ["until", "loop.service", "job-removed failed"],
    ["show", "loop.service"],
    ["job", "StartUnit", "loop.service"],
    ["show", "loop.service"],
    ["job", "StartUnit", "clean.service"],
    ["until", "clean.service", "job-removed failed"],
    ["show", "clean.service"],
    ["job", "StartUnit", "fail.service"],
    ["until", "fail.service", "failed/failed"],
    ["show", "fail.service"],
    ["job", "StartUnit", "done.service"],
    ["until", "done.service", "UnitRemoved"],
    ["show", "done.service"],
    ["job", "StartUnit", "healthy.service"],
    ["show", "healthy.service"],
    ["job", "StopUnit", "healthy.service"],
    ["until", "healthy.service", "UnitRemoved"],
    ["job", "StartUnit", "dep.service"],
    ["show", "v-volume.service"],
    ["job", "StopUnit", "v-volume.service"],
    ["settle", 1],
    ["job", "StartUnit", "one.service"],
    ["until", "one.service", "UnitRemoved"],
    ["job", "StartUnit", "nowhere.service"],
    ["job", "StopUnit", "nowhere.service"],
    ["write", NEW_FILE, "web.container"],
    ["show", "new.service"],
    ["reload"],
    ["settle", 1],
    ["show", "new.service"],
    ["touch", "web.container"],
    ["show", "web.service"],
    ["reload"],
    ["settle", 1],
    ["show", "web.service"],
    ["remove", "web.container"],
    ["reload"],
    ["settle", 1],
    ["show", "web.service"],
    ["job", "StopUnit", "web.service"],
    ["until", "web.service", "UnitRemoved"],
    ["show", "web.service"],
]
UNITS = frozenset(
    [name.replace(".container", ".service") for name in FILES if name.endswith(".container")]
    + ["v-volume.service", "new.service", "nowhere.service"]
)
_STATE = re.compile(r"(?P<state>[a-z]+/[a-z-]+) ?(?P<result>[a-z-]*)")
_LEFTOVERS = {
    "deactivating/stop-sigterm": frozenset({"deactivating/stop"}),
    "deactivating/stop-sigkill": frozenset({"deactivating/stop", "active/running", "activating/start"}),
    "deactivating/final-sigterm": frozenset(
        {"deactivating/stop-sigterm", "deactivating/stop-sigkill", "deactivating/stop-post"}
    ),
    "deactivating/final-sigkill": frozenset(
        {"deactivating/stop-sigterm", "deactivating/stop-sigkill", "deactivating/stop-post"}
    ),
}
"""The states which the real systemd passes through or not, by chance, after those named here.

service.c of systemd: when ExecStop=, the main process or ExecStopPost= has ended, it signals what is left in
the unit's cgroup. Only if something was left does it enter `stop-sigterm` or `final-sigterm` and wait; if
nothing was, it tries the kill signal, and enters `stop-sigkill` or `final-sigkill` if that found something
(with KillMode=mixed only the main process gets the first signal, so leftovers show as the second); else it
goes on at once. What is left is a race: conmon with podman's `rm`, and conmon's own child, `podman container
cleanup`, with conmon. So these states, after these, say nothing. After others they do: `stop-sigterm` of a
running unit is a stop without ExecStop=, `stop-sigkill` after `stop-sigterm` is a stop timeout.
"""
_OVERDUE = "timeout"
"""The Result of a unit that a deadline of systemd's made go on; then no state of the way down is by chance."""


def place(folder: str) -> dict[str, str]:
    """Return the texts for a folder: GO stands for the one where the recorder lets containers go on."""
    return {name: text.replace("GO:", f"{folder}/go:") for name, text in FILES.items()}


class _States:
    """The states of one unit as they were told, before anything is left out."""

    def __init__(self) -> None:
        self._before = ""
        self._state = ""

    def by_chance(self, state: str, result: str) -> bool:
        """Take the next state; return whether systemd might as well not have shown it."""
        if state != self._state:
            self._before, self._state = self._state, state
        return result != _OVERDUE and self._before in _LEFTOVERS.get(state, ())


def normalise(trace: list[dict[str, Any]]) -> list[tuple[str, dict[str, list[str]]]]:
    """Return, for each step, its units' own lines; an `until` and a `settle` belong to the step before."""
    result: list[tuple[str, dict[str, list[str]]]] = []
    states: dict[str, _States] = defaultdict(_States)
    for row in trace:
        shows = row["step"][0] == "show"
        waits = row["step"][0] in ("until", "settle")
        mine = result[-1][1] if waits else {}
        for line in row["lines"]:
            unit, what = line.split(": ", 1)
            if unit not in UNITS or what in ("UnitNew", "UnitRemoved"):
                continue
            state = _STATE.fullmatch(what)
            if state and states[unit].by_chance(state["state"], state["result"]):
                continue
            if shows and not what.startswith("{"):
                continue
            if state and state["state"] != "failed/failed":
                what = state["state"]  # the result is told a moment before or after the state
            lines = mine.setdefault(unit, [])
            if not lines or lines[-1] != what:
                lines.append(what)
        if not waits:
            result.append((" ".join(map(str, row["step"])), mine))
    return result
