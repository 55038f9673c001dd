"""The stage: a temporary folder with a simulated host, eventd on it, the webhook listener and the forge.

Owns: what is started in which order, and `until`, which waits with a deadline for the host to reach the state of a
step, woken by what eventd reports by itself (its status line, its events).
"""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from eventd.client import Client
from eventd_simulators.demo.children import Child, Children, DemoError
from eventd_simulators.demo.forge import NAME, Forge
from eventd_simulators.demo.place import CONFIG, HOOKS, environment
from eventd_simulators.demo.screen import Screen

Status = dict[str, Any]
READY = 30.0
DEADLINE = 30.0
"""Seconds for a step. It takes a second or two; the rest is for slow machines."""
HOST = "demo"
_TELLING = frozenset(
    {
        "pushed",
        "revision",
        "fetch-failed",
        "account-changed",
        "linger-changed",
        "user-new",
        "user-removed",
        "file-changed",
    }
)
"""Kinds of events that are shown; `eventctl events` has all of them."""

_PASSING = ("", "dead", "stop-sigterm", "stop-post")
"""States of units that are not shown."""


@contextmanager
def _interrupts_held() -> Iterator[Callable[[], None]]:
    """Hold interrupts until the function that is yielded is called, which raises KeyboardInterrupt if one came.

    An interrupt in the middle of starting a process would orphan that process.
    """
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _frame: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }

    def let_go() -> None:
        while before:
            signal.signal(*before.popitem())
        if came:
            raise KeyboardInterrupt

    try:
        yield let_go
    finally:
        while before:
            signal.signal(*before.popitem())


class Stage:
    """Nothing runs before `start`; `close` ends all of it, in any state."""

    def __init__(self, at: Path, screen: Screen) -> None:
        self.folder = at
        self.root = at / "host"
        """The folder that stands for / of the simulated host."""
        self.work = at / "work"
        """The operator's clone."""
        self.screen = screen
        self.environment = environment(at)
        self.socket = self.root / "run/eventd/eventd.sock"
        self.client = Client(str(self.socket))
        self.system = ""
        self._stack = ExitStack()
        self._children = Children(at, self.environment)
        self._daemon: Child
        self._events: Child
        self._unread = b""
        self._subs: dict[tuple[str, str], str] = {}

    def close(self) -> None:
        """End every process, the newest first, and the forge."""
        self._children.close()
        self._stack.close()

    def pidfds(self) -> list[int]:
        """Return a descriptor for each process; it is readable when that has ended (pidfd_open(2))."""
        return [child.pidfd for child in self._children.all]

    def logs(self) -> str:
        """Return the end of every process's log."""
        return self._children.logs()

    def start(self) -> None:
        """Start everything; returns when eventd is ready. Raises DemoError."""
        for name, debian in (("dbus-daemon", "dbus"), ("git", "git")):
            if shutil.which(name, path=self.environment["PATH"]) is None:
                raise DemoError(
                    f"the program {name} is not installed: apt-get install {debian} (Debian, Ubuntu) or "
                    f"dnf install {name} (Fedora)"
                )
        began = time.monotonic()
        buses = self._simulator()
        self._proven("a host: systemd, logind and podman, simulated, on real D-Bus", began)
        forge = self._stack.enter_context(Forge(self.folder / "forge", self.environment))
        self._operator(forge)
        self._configure(forge.url, buses)
        began = time.monotonic()
        self._daemon = self._children.start(
            "eventd",
            *("eventd_simulators.demo.daemon", str(self.root), "--config", str(self.folder / "eventd.toml")),
        )
        with socket.create_server(("127.0.0.1", 0)) as listening:
            port = listening.getsockname()[1]
            self._children.start(
                "eventd-webhook",
                *("eventd.webhook", "--config", str(self.folder / "webhook.toml")),
                notify=False,
                listen=listening,
            )
        forge.add_webhook(f"http://127.0.0.1:{port}/hooks/forge", self.folder / "secret")
        self._children.ready(self._daemon, READY)
        self._proven(f"eventd, following {forge.url}", began)
        self.screen.proof(f"eventd-webhook on port {port}; the forge delivers to it")
        self._events = self._children.start(
            "events",
            *("eventd.cli", "--socket", str(self.socket), "events", "--follow", "--json"),
            notify=False,
            out=True,
        )
        self.until("the empty repository is fetched", lambda s: s["state"] == "converged", show=False)

    def _proven(self, what: str, began: float) -> None:
        self.screen.proof(f"{what} ({time.monotonic() - began:.1f} s)")

    def _simulator(self) -> dict[str, str]:
        generator = self.root / "usr/lib/systemd/user-generators/podman-user-generator"
        generator.parent.mkdir(parents=True)
        python = shlex.quote(sys.executable)
        generator.write_text(f'#!/bin/sh\nexec {python} -m eventd_simulators.demo.generator "$@"\n')
        generator.chmod(0o700)
        child = self._children.start("simulator", "eventd_simulators.wire", "--dir", str(self.root), out=True)
        self._children.ready(child, READY)
        assert child.out is not None
        addresses: dict[str, str] = json.loads(child.out.readline())
        self.system = addresses["system"]
        return addresses

    def _operator(self, forge: Forge) -> None:
        self.work.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        for key, value in (
            ("user.name", "Operator"),
            ("user.email", "operator@example.org"),
            ("commit.gpgSign", "false"),
            ("core.hooksPath", "/dev/null"),
        ):
            self.git("config", key, value)
        self.git("remote", "add", "origin", str(forge.path))
        (self.work / "README.md").write_text("What runs on the host `demo`.\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "An empty host")
        self.git("push", "--quiet", "origin", "main")

    def _configure(self, url: str, buses: Mapping[str, str]) -> None:
        for name in ("run/eventd", "etc/eventd/transforms", "var/lib/eventd-git"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        secret = self.folder / "secret"
        secret.touch(mode=stat.S_IRUSR | stat.S_IWUSR)
        secret.write_text(os.urandom(24).hex())
        config = CONFIG.format(url=url, host=HOST, root=self.root, system=buses["system"], user=buses["user"])
        (self.folder / "eventd.toml").write_text(config)
        (self.folder / "webhook.toml").write_text(
            HOOKS.format(root=self.root, repository=NAME, secret=secret)
        )

    def git(self, *arguments: str) -> str:
        """Run git in the operator's clone; returns what it said on both outputs."""
        with (
            _interrupts_held() as let_go,
            subprocess.Popen(
                ["git", *arguments],
                cwd=self.work,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            ) as process,
        ):
            try:
                let_go()
                said, _ = process.communicate(timeout=READY)
            except BaseException:
                # A push has children, and they a hook: interrupted, none of them outlives us. They all hold the
                # pipe, so its end is theirs.
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                raise
        if process.returncode != 0:
            raise DemoError(f"git {' '.join(arguments)}: {said}")
        return said

    def eventctl(self, *arguments: str, expect: int | None = 0) -> None:
        """Run eventctl as an operator does, in sight; its exit status has to be `expect` (None: any)."""
        self.screen.command("eventctl", *arguments)
        done = subprocess.run(
            [sys.executable, "-m", "eventd.cli", *arguments],
            env={**self.environment, "EVENTD_SOCKET": str(self.socket)},
            stdin=subprocess.DEVNULL,
            timeout=DEADLINE,
            check=False,
        )
        if expect is not None and done.returncode != expect:
            raise DemoError(f"eventctl {' '.join(arguments)} exited with {done.returncode}, not {expect}")
        if expect:
            self.screen.line(f"(exit status {expect})", style="2")

    def status(self) -> Status:
        """Return GET /v1/status."""
        status: Status = self.client.get("/v1/status")
        return status

    def until(self, what: str, holds: Callable[[Status], bool], *, show: bool = True) -> Status:
        """Return the first status for which `holds`; show events meanwhile. DemoError at the deadline.

        eventd reports each change of its state on its notification socket, and every event comes as a
        line of `eventctl events --follow`: the status is requested then, and at no other time.
        """
        assert self._daemon.notify is not None
        assert self._events.out is not None
        deadline = time.monotonic() + DEADLINE
        watched = [self._daemon.notify, self._daemon.pidfd, self._events.out, self._events.pidfd]
        while not holds(status := self.status()):
            found, _, _ = select.select(watched, [], [], max(0.0, deadline - time.monotonic()))
            if not found:
                shown = json.dumps(status, indent=1)
                raise DemoError(f"not within {DEADLINE:g} s: {what}. The last status:\n{shown}")
            for child in (self._daemon, self._events):
                if child.pidfd in found:
                    raise child.ended()
            if self._daemon.notify in found:
                self._daemon.notify.recv(65536)
            if self._events.out in found:
                self._take(show=show)
        return status

    def _take(self, *, show: bool) -> None:
        assert self._events.out is not None
        *rows, self._unread = (self._unread + os.read(self._events.out.fileno(), 65536)).split(b"\n")
        for row in rows:
            event = json.loads(row)
            if show and self._is_telling(event):
                self.screen.event({**event, "subject": event["subject"].removeprefix(str(self.root))})

    def _is_telling(self, event: Mapping[str, Any]) -> bool:
        """Leave out echoes of eventd's own writes, and what did not change the state of a unit."""
        if event["kind"] == "unit-changed":
            unit, sub = (event["scope"], event["subject"]), event["attributes"].get("sub", "")
            known, self._subs[unit] = self._subs.get(unit), sub
            return event["origin"] == "user-manager" and sub not in (known, *_PASSING)
        own = event["origin"] == "daemon" or event["subject"].endswith("/50-eventd.conf")
        return event["kind"] in _TELLING and not own
