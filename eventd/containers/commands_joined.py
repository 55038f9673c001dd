"""Runs a command with pipes as its streams, and copies between those and our own.

The command belongs to a workload's account. With our own descriptors it could read the operator's terminal (every key
that is pressed), or keep a file of root's open for writing.
"""

from __future__ import annotations

import os
import select
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CHUNK = 65536


def run(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    streams: tuple[int, int, int] = (0, 1, 2),
) -> int:
    """Run it to its end and return its exit status; negative for a signal, as in subprocess.

    `streams`: the descriptors for its input, output and errors. Raises OSError if it cannot be started, and
    BrokenPipeError if our output is closed; the command's input is then closed, and it is terminated.
    """
    source, *sinks = streams
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        bufsize=0,
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        ended = os.pidfd_open(process.pid)
        try:
            _copy(
                process, source, {process.stdout.fileno(): sinks[0], process.stderr.fileno(): sinks[1]}, ended
            )
        except BaseException:
            process.terminate()
            raise
        finally:
            os.close(ended)
            process.stdin.close()
        return process.wait()


def _copy(process: subprocess.Popen[bytes], source: int, sinks: dict[int, int], ended: int) -> None:
    """Copy until the command has ended, then copy what is left in its pipes without waiting."""
    assert process.stdin
    into = process.stdin.fileno()
    os.set_blocking(into, False)
    for pipe in sinks:
        os.set_blocking(pipe, False)
    poll = select.poll()
    for fd in (source, ended, *sinks):
        poll.register(fd, select.POLLIN)
    waiting, open_pipes, over = b"", set(sinks), False
    while not over:
        ready = {fd for fd, _ in poll.poll()}
        over = ended in ready
        for pipe in sorted(open_pipes & (set(sinks) if over else ready)):
            if not _drain(pipe, sinks[pipe], wholly=over):
                poll.unregister(pipe)
                open_pipes.discard(pipe)
        if source in ready:
            waiting = os.read(source, _CHUNK)
            # One piece at a time: the next is read after this one is written.
            poll.unregister(source)
            if waiting:
                poll.register(into, select.POLLOUT)
            else:
                process.stdin.close()
        if into in ready:
            try:
                waiting = waiting[os.write(into, waiting) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:  # it no longer reads, but may still write
                poll.unregister(into)
                continue
            if not waiting:
                poll.unregister(into)
                poll.register(source, select.POLLIN)


def _drain(pipe: int, sink: int, *, wholly: bool) -> bool:
    """Copy what is available; `wholly`: until the pipe is empty. Returns False at the end of the pipe."""
    while True:
        try:
            chunk = os.read(pipe, _CHUNK)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        while chunk:
            chunk = chunk[os.write(sink, chunk) :]
        if not wholly:
            return True
