"""Runs podman, for questions that it answers at once, each with a deadline. Owns the environment of what is started.

What takes long (`compose up`, the event log) `process_supervise.py` starts and watches itself.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from eventd.compose.process_containers import PROJECT_LABEL, Container, containers
from eventd.compose.process_failure import Reason, StackError

ANSWER: Final = 30.0
"""Seconds that podman has for a question. It takes 0.1 s, and waits for a lock while another podman works."""


@dataclass(frozen=True, slots=True)
class Stack:
    """Which stack, and how it is worked on."""

    project: str
    files: tuple[str, ...]
    env_files: tuple[str, ...] = ()
    """Given to the provider, for the variables of the compose file."""
    needed: tuple[str, ...] = ()
    """Must be readable as well: what services name as `env_file`, say."""
    provider: str = "/usr/bin/docker-compose"
    unit: str = ""
    """The unit that owns it."""

    def compose(self, *words: str) -> list[str]:
        """Return the command line of `podman compose` for this stack."""
        argv = ["podman", "compose"]
        argv += [word for path in self.files for word in ("--file", path)]
        argv += [word for path in self.env_files for word in ("--env-file", path)]
        return [*argv, "--project-name", self.project, *words]


def environment(stack: Stack, outer: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of everything that is started.

    Without INVOCATION_ID: where podman finds it, it leaves the containers' monitors in our control group, and
    systemd would kill them with us. With PODMAN_SYSTEMD_UNIT podman labels what *it* creates (podman-compose;
    not docker-compose, which goes through the user's socket).
    """
    dropped = {"INVOCATION_ID", "NOTIFY_SOCKET", "MANAGERPID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}
    kept = {key: value for key, value in outer.items() if key not in dropped}
    kept |= {"PODMAN_COMPOSE_PROVIDER": stack.provider, "PODMAN_COMPOSE_WARNING_LOGS": "false"}
    if stack.unit:
        kept["PODMAN_SYSTEMD_UNIT"] = stack.unit
    return kept


class Podman:
    """podman, for one stack, as the user that this runs as."""

    def __init__(self, stack: Stack, outer: Mapping[str, str] | None = None) -> None:
        self.stack = stack
        self.env = environment(stack, os.environ if outer is None else outer)

    def run(
        self, argv: Sequence[str], *, timeout: float = ANSWER, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end. Raises StackError(PODMAN) when it fails (with `check`) or takes too long."""
        try:
            done = subprocess.run(
                argv,
                check=False,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                env=self.env,
            )
        except subprocess.TimeoutExpired as error:
            raise StackError(
                Reason.PODMAN, f"no answer within {timeout:g} s: {' '.join(argv[:3])}"
            ) from error
        except OSError as error:
            raise StackError(Reason.PODMAN, f"cannot run {argv[0]}: {error.strerror}") from error
        if check and done.returncode:
            raise StackError(
                Reason.PODMAN,
                f"{' '.join(argv[:3])}: status {done.returncode}: {last_line(done.stderr)}",
            )
        return done

    def containers(self) -> tuple[Container, ...]:
        """Return the project's containers, running or not."""
        listing = ["podman", "ps", "--all", "--quiet", "--no-trunc"]
        found = self.run([*listing, f"--filter=label={PROJECT_LABEL}={self.stack.project}"]).stdout.split()
        if not found:
            return ()
        # One of them may go between the two commands: then podman prints the others, and status 125.
        done = self.run(["podman", "container", "inspect", *found], check=False)
        documents = self.documents(done.stdout)
        if done.returncode and "no such container" not in done.stderr.lower():
            raise StackError(Reason.PODMAN, f"podman container inspect: {last_line(done.stderr)}")
        try:
            return containers(documents)
        except (KeyError, TypeError, ValueError) as error:
            raise StackError(
                Reason.PODMAN, f"podman describes a container in an unknown way: {error!r}"
            ) from error

    def services_wanted(self) -> tuple[str, ...]:
        """Return the services that must have a container after `compose up`; none where its status says it all.

        podman-compose 1.3 exits with 0 although it could not pull an image, or make a container.
        """
        if not Path(self.stack.provider).name.startswith("podman-compose"):
            return ()
        return tuple(self.run(self.stack.compose("config", "--services")).stdout.split())

    @staticmethod
    def documents(text: str) -> list[dict[str, Any]]:
        """Return a JSON array of objects. Raises StackError(PODMAN)."""
        try:
            found = json.loads(text or "[]")
        except ValueError as error:
            raise StackError(Reason.PODMAN, "podman printed something that is not JSON") from error
        if not isinstance(found, list):
            raise StackError(Reason.PODMAN, "podman printed JSON of another form than expected")
        return found

    def remove(self, ids: Sequence[str], *, timeout: float) -> None:
        """Stop containers (each in its own stop timeout) and remove them. Their volumes stay."""
        if not ids:
            return
        argv = ["podman", "rm", "--force", "--ignore", *ids]
        if self.run(argv, timeout=timeout, check=False).returncode:
            # One without its monitor is killed the first time, and can be removed the second.
            self.run(argv, timeout=timeout)

    def event_logger(self) -> str:
        """Return podman's event back end: journald, file or none."""
        return self.run(["podman", "info", "--format={{.Host.EventLogger}}"]).stdout.strip()

    def is_active(self, unit: str) -> bool:
        """Whether a unit of the user's manager is active, or on its way there or down."""
        done = self.run(["systemctl", "--user", "show", "--property=ActiveState", "--value", unit])
        return done.stdout.strip() not in {"inactive", "failed", ""}


def unreadable(stack: Stack) -> tuple[str, ...]:
    """Return what of the stack's files cannot be read by this user, with why: the compose files first."""
    found = []
    for path in (*stack.files, *stack.env_files, *stack.needed):
        try:
            # Reading finds a folder out; a pipe that nobody writes to must not hold the start up.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.read(descriptor, 1)
            finally:
                os.close(descriptor)
        except OSError as error:
            found.append(f"{path}: {error.strerror}")
    return tuple(found)


def last_line(text: str) -> str:
    """Return the last line that is not empty, which is where podman and the providers say what was wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
