"""Runs podman for short queries, each with a deadline. Owns the environment of everything that is started.

Long-running commands (`compose up`, the event log) are started and watched by `process_supervise.py`.
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
"""Seconds for one query. podman takes 0.1 s, but waits for a lock while another podman works."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack, and the options for working on it."""

    project: str
    files: tuple[str, ...]
    env_files: tuple[str, ...] = ()
    """Passed to the provider, for the variables of the compose file."""
    needed: tuple[str, ...] = ()
    """Further files that must be readable, such as those in `env_file`."""
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
    """Return the environment for everything that is started.

    Without INVOCATION_ID: if it is set, podman leaves the containers' monitors in our control group, and systemd would
    kill them with us. With PODMAN_SYSTEMD_UNIT, podman labels the containers that *it* creates (with podman-compose,
    but not with docker-compose, which goes through the user's socket).
    """
    dropped = {"INVOCATION_ID", "NOTIFY_SOCKET", "MANAGERPID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}
    kept = {key: value for key, value in outer.items() if key not in dropped}
    kept |= {"PODMAN_COMPOSE_PROVIDER": stack.provider, "PODMAN_COMPOSE_WARNING_LOGS": "false"}
    if stack.unit:
        kept["PODMAN_SYSTEMD_UNIT"] = stack.unit
    return kept


class Podman:
    """podman for one stack, as the current user."""

    def __init__(self, stack: Stack, outer: Mapping[str, str] | None = None) -> None:
        self.stack = stack
        self.env = environment(stack, os.environ if outer is None else outer)

    def run(
        self, argv: Sequence[str], *, timeout: float = ANSWER, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end. Raises StackError(PODMAN) if it fails (with `check`) or takes too long."""
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
        # A container may be removed between the two commands: then podman prints the others, and exits with 125.
        done = self.run(["podman", "container", "inspect", *found], check=False)
        documents = self.documents(done.stdout)
        if done.returncode and "no such container" not in done.stderr.lower():
            raise StackError(Reason.PODMAN, f"podman container inspect: {last_line(done.stderr)}")
        try:
            return containers(documents)
        except (KeyError, TypeError, ValueError) as error:
            raise StackError(
                Reason.PODMAN, f"cannot parse podman's description of a container: {error!r}"
            ) from error

    def services_wanted(self) -> tuple[str, ...]:
        """Return the services that must have a container after `compose up`; none if the provider's status is reliable.

        podman-compose 1.3 exits with 0 although it could not pull an image or create a container.
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
            raise StackError(Reason.PODMAN, "podman's output is not valid JSON") from error
        if not isinstance(found, list):
            raise StackError(Reason.PODMAN, "podman's output has an unexpected form")
        return found

    def remove(self, ids: Sequence[str], *, timeout: float) -> None:
        """Stop containers, each within its own stop timeout, and remove them. Their volumes stay."""
        if not ids:
            return
        argv = ["podman", "rm", "--force", "--ignore", *ids]
        if self.run(argv, timeout=timeout, check=False).returncode:
            # A container without its monitor is killed by the first call, and removed by the second.
            self.run(argv, timeout=timeout)

    def event_logger(self) -> str:
        """Return podman's event back end: journald, file or none."""
        return self.run(["podman", "info", "--format={{.Host.EventLogger}}"]).stdout.strip()

    def is_active(self, unit: str) -> bool:
        """Return whether a unit of the user manager is active, activating or deactivating."""
        done = self.run(["systemctl", "--user", "show", "--property=ActiveState", "--value", unit])
        return done.stdout.strip() not in {"inactive", "failed", ""}


def unreadable(stack: Stack) -> tuple[str, ...]:
    """Return the stack's files that this user cannot read, with the reasons; the compose files first."""
    found = []
    for path in (*stack.files, *stack.env_files, *stack.needed):
        try:
            # Reading detects a folder. Non-blocking: a FIFO without a writer must not block the start.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                os.read(descriptor, 1)
            finally:
                os.close(descriptor)
        except OSError as error:
            found.append(f"{path}: {error.strerror}")
    return tuple(found)


def last_line(text: str) -> str:
    """Return the last non-empty line: podman and the providers report their error there."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
