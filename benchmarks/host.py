"""A test host under the benchmark: eventd installed and running, and `inside.py` beside it.

Owns the life of the host and what is deployed on it. The times come from `inside.py`; what is done with them is
`deploy.py`'s and `resources.py`'s.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from eventd.desired.model import Tree, TreeFile
from eventd.desired.model_assembly import HostRules, assemble
from tests.host import layers
from tests.host.machine import Machine, Process
from tests.host.operator import REMOTE, WORK, Operator

Json = dict[str, Any]
CONCURRENCY = 8
"""eventd's default, and the floor's."""
_INSIDE = Path(__file__).with_name("inside.py")
_READ = "/root/inside.py"
_REAL = "refs/heads/real"


def app(note: str = "") -> str:
    """Return a Quadlet file of a container that uses no CPU, and stops as soon as it is told to."""
    return f"""\
[Unit]
Description=benchmark {note}

[Container]
Image=localhost/busybox:1
Pull=never
Exec=/bin/sh -c 'trap "exit 0" TERM; sleep infinity & wait'
StopTimeout=1

[Install]
WantedBy=default.target
"""


def installed(text: str) -> dict[str, str]:
    """Return the files that eventd would install for a workload of one `app.container`."""
    path = "workloads/app/app.container"
    desired = assemble(Tree("", {path: TreeFile(path, text.encode())}), HostRules("host"))
    return {file.name: file.content.decode() for file in desired.workloads["app"].files}


class Host:
    """One booted host with a running eventd."""

    def __init__(self, machine: Machine, process: Process) -> None:
        self.machine = machine
        self.operator = Operator(machine)
        self._process = process
        self._asked = 0

    def install(self, config: str = "") -> None:
        """Set up eventd as an operator would; returns when it has converged on an empty repository."""
        self.operator.install(config)
        self.operator.until(lambda s: s["state"] == "converged", "converged")

    def ask(self, operation: str, /, **arguments: Any) -> Any:
        """Have `inside.py` do something."""
        self._asked += 1
        self._process.write(json.dumps([self._asked, operation, arguments]) + "\n")
        line = self._process.read_until(rf"^{self._asked} (.*)\n", timeout=180)[1]
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{answer['error']}\n{self._process.stderr}")
        return answer["answer"]

    @property
    def pid(self) -> int:
        """Of eventd, in the host."""
        return int(self.machine.show("eventd.service", "MainPID")["MainPID"])

    def commit(self, workloads: Mapping[str, str]) -> str:
        """Commit workloads (name -> text of their app.container)."""
        return self.operator.commit({f"workloads/{n}/app.container": text for n, text in workloads.items()})

    def push(self) -> Json:
        """Push to the branch that eventd watches by inotify."""
        return dict(self.ask("push", work=WORK, target="refs/heads/main"))

    def push_unseen(self) -> Json:
        """Push so that only a fetch can find it: `main` is a symbolic ref, and its target nobody watches."""
        return dict(self.ask("push", work=WORK, target=_REAL))

    def hide(self) -> None:
        """Make `main` a symbolic ref, for `push_unseen`."""
        self._git("update-ref", _REAL, "refs/heads/main")
        self._git("symbolic-ref", "refs/heads/main", _REAL)

    def show(self) -> None:
        """Make `main` a branch of its own (again), for `push`."""
        head = self._git("rev-parse", "refs/heads/main").strip()
        self._git("update-ref", "--no-deref", "refs/heads/main", head)

    def _git(self, *arguments: str) -> str:
        return self.machine.run(["git", "--git-dir", REMOTE, *arguments]).stdout

    def offset(self) -> float:
        """Seconds to add to a wall time of the host for its monotonic one."""
        clocks = self.ask("clocks")
        return float(clocks["monotonic"] - clocks["wall"])


@contextlib.contextmanager
def host(config: str = "") -> Iterator[Host]:
    """Yield a running host with eventd on an empty repository; it is gone afterwards."""
    with Machine(layers.installed()) as machine:
        machine.write(_READ, _INSIDE.read_bytes())
        with machine.start(["/opt/eventd/bin/python", "-X", "utf8", _READ]) as process:
            process.read_until("^ready$")
            one = Host(machine, process)
            one.install(config)
            yield one
