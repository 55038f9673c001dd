"""Finds what is at a path of the host, without following links that a workload could have made.

Root looks on behalf of a workload, so a workload's symlink must not decide where. Above the last component only root's
symlinks are followed (`/var/run`, `/bin`); a path behind another one counts as missing. The last component is not
followed: a dangling link counts as present. No content is read: everything is opened with O_PATH (open(2)).
Synchronous, for a worker thread.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from eventd.platform.file_state import ABSENT, file_error
from eventd.platform.model_facts import FileKind, FileState

_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS = 40
"""The limit of path_resolution(7)."""


@dataclass(frozen=True, slots=True)
class PathLookup:
    """What was found, and the names that were looked up on the way."""

    state: FileState | None
    """Without a digest. None: the path does not exist."""
    steps: tuple[tuple[str, str], ...]
    """The folders from `/` on, as far as they exist, each with the name that was looked up in it."""
    foreign: str = ""
    """With `through`: the path from its first component that is not root's; empty if all of them are."""
    changed: float = 0.0
    """When the newest link on the way was made, in seconds since the epoch."""


def look_up(path: str, *, through: bool = False) -> PathLookup:
    """Look up an absolute path. Raises TemporaryError or PermanentError if it cannot be read.

    `through`: follow root's links at the end too, and stop before the first folder or link that belongs neither to root
    nor to the caller. Its owner decides what is behind it.
    """
    roots = {0, os.geteuid()} if through else {0}
    changed = 0.0
    todo = [part for part in reversed(path.split("/")) if part]
    steps: list[tuple[str, str]] = []
    held = [os.open("/", _PLACE)]
    names: list[str] = []
    links = 0
    try:
        while todo:
            name = todo.pop()
            if name in (".", ".."):
                if name == ".." and names:
                    names.pop()
                    os.close(held.pop())
                continue
            steps.append(("/" + "/".join(names), name))
            place = os.open(name, _PLACE, dir_fd=held[-1])
            held.append(place)
            status = os.fstat(place)
            if stat.S_ISLNK(status.st_mode) and (todo or through):
                links += 1
                changed = max(changed, status.st_ctime)
                if status.st_uid not in roots or links > _LINKS:
                    rest = "/".join(("", *names, name, *reversed(todo)))
                    return PathLookup(None, tuple(steps), rest if through else "", changed)
                target = os.readlink("", dir_fd=place)
                os.close(held.pop())
                if target.startswith("/"):
                    while len(held) > 1:
                        os.close(held.pop())
                    names.clear()
                todo += [part for part in reversed(target.split("/")) if part]
            elif through and todo and status.st_uid not in roots:
                rest = "/".join(("", *names, name, *reversed(todo)))
                return PathLookup(None, tuple(steps), rest, changed)
            else:
                names.append(name)
        return PathLookup(_state(os.fstat(held[-1])), tuple(steps), changed=changed)
    except OSError as error:
        if error.errno in ABSENT:
            return PathLookup(None, tuple(steps), changed=changed)
        raise file_error(error, "look up", path) from error
    finally:
        for place in held:
            os.close(place)


def _state(status: os.stat_result) -> FileState:
    mode = status.st_mode
    kind = FileKind.OTHER
    for is_kind, each in (
        (stat.S_ISREG, FileKind.REGULAR),
        (stat.S_ISDIR, FileKind.DIRECTORY),
        (stat.S_ISLNK, FileKind.SYMLINK),
    ):
        if is_kind(mode):
            kind = each
    return FileState(kind, "", stat.S_IMODE(mode), status.st_uid, status.st_gid)
