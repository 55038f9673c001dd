"""Boots a host with eventd installed and gives a shell in it: `python -m tests.host.shell [COMMAND...]`.

With a command, runs that, on this terminal's streams, and exits with its status. The host is gone afterwards.
"""

import argparse
import contextlib
import fcntl
import os
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Iterator

from tests.host import agent, layers, tree
from tests.host.machine import Machine


def interact(machine: Machine, argv: list[str]) -> int:
    """Run a command on a terminal in the host, joined to this one; returns its status."""
    peer, master = machine.executor.open_tty(argv, {"TERM": os.environ.get("TERM", "dumb")})
    with peer, os.fdopen(master, "rb+", buffering=0) as terminal, _raw(terminal.fileno()):
        watched = [sys.stdin.fileno(), terminal.fileno(), peer.fileno()]
        while True:
            readable, _, _ = select.select(watched, [], [])
            if terminal.fileno() in readable:
                try:
                    os.write(sys.stdout.fileno(), os.read(terminal.fileno(), 65536))
                except OSError:  # EIO: the last process on it has ended
                    watched.remove(terminal.fileno())
            elif peer.fileno() in readable:
                received = agent.receive(peer)
                if received is None:
                    return -1
                if "status" in received[0]:
                    return int(received[0]["status"])
            elif typed := os.read(sys.stdin.fileno(), 65536):
                terminal.write(typed)
            else:
                watched.remove(sys.stdin.fileno())


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Pass every key on to the host's terminal, and this one's size."""

    def resize(*_: object) -> None:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(sys.stdin, termios.TIOCGWINSZ, b"\0" * 8))

    before = termios.tcgetattr(sys.stdin)
    old = signal.signal(signal.SIGWINCH, resize)
    try:
        resize()
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, old)


def main() -> int:
    """Boot, run, and clean up."""
    parser = argparse.ArgumentParser(prog="python -m tests.host.shell", description=__doc__)
    parser.add_argument("--bare", action="store_true", help="the Debian tree alone, without eventd")
    parser.add_argument("--hostname", default="testhost")
    parser.add_argument("--loops", type=int, default=0, help="loop devices of its own")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="run this instead of an interactive shell")
    arguments = parser.parse_args()
    below = [tree.ensure()] if arguments.bare else layers.installed()
    started = time.monotonic()
    with Machine(below, hostname=arguments.hostname, loops=arguments.loops) as machine:
        if not arguments.command and sys.stdin.isatty():
            seconds = time.monotonic() - started
            sys.stderr.write(f"booted in {seconds:.1f} s; the host ends with this shell\n")
            return interact(machine, ["bash", "--login"])
        return machine.executor.attach(arguments.command or ["bash", "-s"])


if __name__ == "__main__":
    sys.exit(main())
