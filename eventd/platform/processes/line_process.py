"""A long-running child process of the daemon: `line_streams` over its pipes.

Owns its pidfd and its end. `eventd.platform.processes.process.spawn` starts it, with a clean environment and no
descriptors.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath

from eventd.platform.processes.line_streams import LineStreams, LongLine
from eventd.platform.processes.process import ServiceAccount, kill_group, spawn

_REAP_SECONDS = 5.0


class LineProcess(LineStreams):
    """One process, started by the constructor. See `LineStreams`.

    Raises PermanentError(reason="command-missing" | "not-permitted" | "command-unusable") and
    TemporaryError(reason="no-resources").
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        line: Callable[[bytes], None],
        ended: Callable[[str], None],
        limit: int,
        long: LongLine,
        identity: ServiceAccount | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(PurePath(argv[0]).name, line=line, ended=ended, limit=limit, long=long)
        self._identity = identity
        self._process = spawn(argv, self._name, identity, environment or {})
        self._exited: asyncio.Future[None] = self._loop.create_future()
        self._pidfd = os.pidfd_open(self._process.pid)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._begin(
            self._process.stdin.fileno(), self._process.stdout.fileno(), self._process.stderr.fileno()
        )
        self._loop.add_reader(self._pidfd, self._on_exit)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def ready(self) -> None:
        """Return at once: the process is already running."""

    async def stop(self) -> None:
        """Kill it, and wait up to five seconds for its end. No callback is called any more."""
        self._ended = None
        self._kill()
        await asyncio.wait({self._exited}, timeout=_REAP_SECONDS)

    def _on_exit(self) -> None:
        # The leader is a zombie until poll(), so its group id cannot belong to another process.
        self._kill()
        self._loop.remove_reader(self._pidfd)
        self._process.poll()
        os.close(self._pidfd)
        status = self._process.returncode
        self._finish(f"was ended by signal {-status}" if status < 0 else f"exited with {status}")
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()
        self._exited.set_result(None)

    def _kill(self) -> None:
        kill_group(self._process, self._identity)
