"""What `eventctl doctor` reads: files, commands and accounts of this host.

`Probe` is the port, `HostProbe` the real one. The checks (`eventd.doctor.commands_checks`) see nothing else, so that
tests can pass them any host.

It only reads. Each command has a deadline. A command that fails is an answer (None), since a broken tool is a finding.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIMEOUT = 10.0
_MANAGED = "eventd-managed"
"""The group that accounts of workloads are in."""


@dataclass(frozen=True, slots=True)
class Place:
    """What is at a path (stat(2), following symlinks)."""

    folder: bool
    mode: int
    """Permission bits, setuid included."""
    owner: str
    """User name, or the uid where it has none."""
    group: str
    executable: bool = False
    """It has an executable bit."""


@dataclass(frozen=True, slots=True)
class Space:
    """A file system (statvfs(3)), as users other than root see it."""

    device: int
    size: int
    """Bytes."""
    free: int
    """Bytes that may still be written."""
    inodes: int
    """0: the file system has no table of them."""
    inodes_free: int


class Probe(Protocol):
    """A host, read-only."""

    def read(self, path: str) -> str | None:
        """Return a file's text, None if it is missing or not readable."""
        ...

    def place(self, path: str) -> Place | None:
        """Return what is at a path, None if there is nothing or it cannot be seen."""
        ...

    def entries(self, folder: str) -> list[str]:
        """Return the names in a folder, sorted; empty if it is missing or not readable."""
        ...

    def space(self, path: str) -> Space | None:
        """Return the file system that a path is on, or would be on; None if that cannot be determined."""
        ...

    def homes(self) -> list[str]:
        """Return the folders with homes of workloads, and the one where `useradd` makes new homes."""
        ...

    def readable(self, path: str) -> bool:
        """Whether this account may read the file."""
        ...

    def command(self, name: str) -> str | None:
        """Return the path of a command, None if it is not installed."""
        ...

    def output(self, *argv: str) -> str | None:
        """Return what a command prints, None if it fails or takes longer than 10 s."""
        ...

    def capable(self, path: str) -> bool:
        """Whether the file has capabilities(7) of its own."""
        ...

    def user(self, name: str) -> bool:
        """Whether the account exists."""
        ...

    def group(self, name: str) -> bool:
        """Whether the group exists."""
        ...


class HostProbe:
    """This host."""

    def read(self, path: str) -> str | None:
        """Return a file's text."""
        try:
            return Path(path).read_text("utf-8", "replace")
        except OSError:
            return None

    def place(self, path: str) -> Place | None:
        """Return what is at a path."""
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            return None
        return Place(
            stat.S_ISDIR(status.st_mode),
            stat.S_IMODE(status.st_mode),
            _name(status.st_uid, user=True),
            _name(status.st_gid, user=False),
            executable=bool(status.st_mode & 0o111),
        )

    def entries(self, folder: str) -> list[str]:
        """Return the names in a folder."""
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208  names, not paths
        except OSError:
            return []

    def space(self, path: str) -> Space | None:
        """Return the file system that a path is on, or would be on."""
        try:
            found = os.statvfs(path)
            device = os.stat(path).st_dev  # noqa: PTH116
        except FileNotFoundError:
            return self.space(os.path.dirname(path)) if path != "/" else None  # noqa: PTH120
        except OSError:
            return None
        return Space(
            device,
            found.f_blocks * found.f_frsize,
            found.f_bavail * found.f_frsize,
            found.f_files,
            found.f_favail,
        )

    def homes(self) -> list[str]:
        """Return the folders with homes of workloads."""
        try:
            members = set(grp.getgrnam(_MANAGED).gr_mem)
        except KeyError:
            members = set()
        parents = {os.path.dirname(each.pw_dir) for each in pwd.getpwall() if each.pw_name in members}  # noqa: PTH120
        said = re.search(r"^HOME=(/\S+)", self.read("/etc/default/useradd") or "", re.MULTILINE)
        return sorted({*parents, said[1] if said else "/home"})

    def readable(self, path: str) -> bool:
        """Whether this account may read the file."""
        return os.access(path, os.R_OK)

    def command(self, name: str) -> str | None:
        """Return the path of a command; sbin too, which an ordinary account's PATH leaves out."""
        return shutil.which(name, path=_SEARCH)

    def output(self, *argv: str) -> str | None:
        """Return what a command prints."""
        try:
            done = subprocess.run(
                argv,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=_TIMEOUT,
                check=True,
                env={"PATH": _SEARCH, "LC_ALL": "C.UTF-8", "HOME": _home()},
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.decode("utf-8", "replace").strip()

    def capable(self, path: str) -> bool:
        """Whether the file has capabilities of its own."""
        try:
            return bool(os.getxattr(path, "security.capability"))
        except OSError:  # ENODATA: it has none; ENOTSUP: the file system has none
            return False

    def user(self, name: str) -> bool:
        """Whether the account exists."""
        try:
            pwd.getpwnam(name)
        except KeyError:
            return False
        return True

    def group(self, name: str) -> bool:
        """Whether the group exists."""
        try:
            grp.getgrnam(name)
        except KeyError:
            return False
        return True


def _name(number: int, *, user: bool) -> str:
    try:
        return pwd.getpwuid(number).pw_name if user else grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _home() -> str:
    """Return $HOME for the commands, since podman needs one. Root's may be closed to the daemon."""
    return os.path.expanduser("~") if os.geteuid() else "/"  # noqa: PTH111
