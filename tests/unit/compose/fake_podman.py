"""A podman, provider and journalctl that play recordings: shell scripts in a folder that comes first in PATH.

A test says what `compose up` does (`up`), and what podman then has (`has`). What was called is in `calls()`.
Monitors are real processes, so that their ends are real. Events are written by the test into a pipe.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

PODMAN = """\
#!/bin/sh
echo "podman $*" >>calls
case "$1 $2" in
"ps --all") cat ids ;;
"container inspect") cat inspect.json ;;
"compose --file")
    case "$*" in
    *" up "*) echo "unit=$PODMAN_SYSTEMD_UNIT invocation=$INVOCATION_ID" >>calls; exec sh ./up ;;
    *" config") cat config.json || exit 1 ;;
    *" config --services") cat services ;;
    esac ;;
"info --format={{.Host.EventLogger}}") cat logger ;;
"image inspect") cat "image-$(echo "$3" | tr /: __)" || { echo "[]"; exit 125; } ;;
"pull --quiet") sh ./pull "$3" ;;
"network ls") cat networks ;;
esac
"""
SYSTEMCTL = '#!/bin/sh\necho "systemctl $*" >>calls\ngrep -qx "$5" active && echo active || echo inactive\n'
JOURNALCTL = '#!/bin/sh\necho "journalctl $*" >>calls\nexec cat events\n'
MONITOR = ["sleep", "1000"]


class FakePodman:
    """The folder, and what is in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        for name, text in (("podman", PODMAN), ("systemctl", SYSTEMCTL), ("journalctl", JOURNALCTL)):
            path = folder / "bin" / name
            path.write_text(text)
            path.chmod(0o755)
        self.file = folder / "compose.yaml"
        for name, text in {
            "compose.yaml": "services: {}\n",
            "logger": "journald\n",
            "active": "",
            "networks": "n1\n",
            "calls": "",
            "services": "",
        }.items():
            (folder / name).write_text(text)
        os.mkfifo(folder / "events")
        # Open for both, so that opening and writing never block and the reader sees no end.
        self._events = os.open(folder / "events", os.O_RDWR)
        self.monitors: list[subprocess.Popen[bytes]] = []
        self.has([])
        self.up("exit 0")

    def has(self, documents: list[dict[str, Any]], prefix: str = "") -> None:
        """Have podman say that there are these containers; atomically, as podman's own are."""
        for name, text in (
            ("ids", "".join(f"{one['Id']}\n" for one in documents)),
            ("inspect.json", json.dumps(documents)),
        ):
            (self.folder / f".{name}").write_text(text)
            (self.folder / f".{name}").rename(self.folder / f"{prefix}{name}")

    def up(self, script: str, then: list[dict[str, Any]] | None = None) -> None:
        """Say what `compose up` does: a shell script, after which podman has these containers."""
        if then is not None:
            self.has(then, prefix="next-")
            script = f"cp next-ids ids; cp next-inspect.json inspect.json\n{script}"
        (self.folder / "up").write_text(script)

    def running(
        self, name: str = "web", *, health: str = "", started: float = 1000.0, **state: Any
    ) -> dict[str, Any]:
        """Return the document of a container that runs, with a monitor."""
        monitor = subprocess.Popen(MONITOR)
        self.monitors.append(monitor)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(started))
        fraction = f"{started % 1:.9f}"[1:]
        found: dict[str, Any] = {
            "Id": f"{name:0<64}",
            "Name": f"demo-{name}-1",
            "Image": "3c5e3e5daaf3ee3e",
            "ImageName": "localhost/busybox:1",
            "RestartCount": 0,
            "State": {
                "Status": "running",
                "ExitCode": 0,
                "ConmonPid": monitor.pid,
                "StartedAt": f"{stamp}{fraction}Z",
            }
            | state,
            "Config": {"Labels": {"com.docker.compose.service": name}, "Healthcheck": None},
            "HostConfig": {"RestartPolicy": {"Name": "no"}},
        }
        if health:
            found["State"]["Health"] = {"Status": health}
            found["Config"]["Healthcheck"] = {"Test": ["CMD", "true"]}
        return found

    def event(self, name: str, what: str, health: str = "") -> None:
        """Log one of podman's events to the journal."""
        line = json.dumps({"PODMAN_ID": f"{name:0<64}", "PODMAN_EVENT": what, "PODMAN_HEALTH_STATUS": health})
        os.write(self._events, f"{line}\n".encode())

    def calls(self, word: str = "") -> list[str]:
        """Return what was called, of those lines that have the word."""
        return [line for line in (self.folder / "calls").read_text().splitlines() if word in line]

    def environment(self) -> dict[str, str]:
        """Return the environment in which it is found."""
        return {**os.environ, "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "INVOCATION_ID": "ours"}

    def close(self) -> None:
        """End the monitors."""
        os.close(self._events)
        for monitor in self.monitors:
            monitor.kill()
            monitor.wait()
