"""Wait until the daemon listens on its unix socket (again), woken by inotify(7).

Watch, then connect, then wait: the watch is set before each attempt, so that a socket made in between is not missed.
The runtime folder may be gone with the daemon (RuntimeDirectory= of systemd.exec(5)); then the nearest folder above
it that exists is watched.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path

from asyncinotify import Inotify, Mask

from eventd.client import NoDaemonError

_SIGNS = Mask.CREATE | Mask.MOVED_TO | Mask.ATTRIB | Mask.DELETE_SELF | Mask.MOVE_SELF
_LISTEN = 0.05
"""Seconds between attempts while the socket exists and refuses. bind(2) makes the file; the listen(2) after it leaves
no trace in the file system. A daemon calls both at once, so this ends after `_PATIENCE`."""
_PATIENCE = 2.0


def await_daemon(path: str, timeout: float) -> None:
    """Return once a connection to `path` is accepted. Raises NoDaemonError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    refused_since: float | None = None
    while True:
        with Inotify() as inotify:
            _watch(inotify, Path(path))
            accepted = _accepts(path)
            if accepted:
                return
            now = time.monotonic()
            left = deadline - now
            if left <= 0:
                raise NoDaemonError(
                    f"no daemon at {path} for {timeout:.0f} s", hint="systemctl status eventd"
                )
            if accepted is None:
                refused_since = None
            else:
                refused_since = refused_since or now
                if now - refused_since < _PATIENCE:
                    left = min(left, _LISTEN)
            inotify.sync_timeout = left
            if inotify.sync_get() is not None and refused_since is not None:
                refused_since = time.monotonic()  # something happened: start the patience again


def _watch(inotify: Inotify, path: Path) -> None:
    """Watch the socket's folder, or the nearest one above it that exists."""
    for folder in path.absolute().parents:
        try:
            inotify.add_watch(folder, _SIGNS)
        except OSError:
            continue
        return


def _accepts(path: str) -> bool | None:
    """Whether the socket accepts connections; None if there is no socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.settimeout(5.0)
        try:
            probe.connect(path)
        except FileNotFoundError:
            return None
        except OSError:
            return False
    return True
