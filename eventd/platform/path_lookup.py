"""Finds what is at a path anywhere on the host, without following links that a workload could have planted.

Synchronous, for a worker thread. Root asks on behalf of a workload, so a symlink that the workload could have
made must not decide where root looks: on the steps, only symlinks that belong to root are followed
(`/var/run`, `/bin`), and what is behind another is not there. The last component is never followed: a link
that dangles is there. No content is read, and nothing is opened but places (open(2), O_PATH).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from eventd.platform.file_state import ABSENT, file_error
from eventd.platform.model_facts import FileKind, FileState

_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_LINKS = 40
"""As many as path_resolution(7) follows."""


@dataclass(frozen=True, slots=True)
class PathLookup:
    """What was found, and which names would change it."""

    state: FileState | None
    """Without a digest. None: there is nothing."""
    steps: tuple[tuple[str, str], ...]
    """Folders from `/` on, each with the name that was looked up in it; as far as they exist."""
    foreign: str = ""
    """With `through`: the rest of the steps, from the first thing on that is not root's; empty if all of it is."""
    changed: float = 0.0
    """When the newest link on the steps was made, in seconds since the epoch."""


def look_up(path: str, *, through: bool = False) -> PathLookup:
    """Look up an absolute path. Raises TemporaryError or PermanentError if it cannot be read.

    `through`: follow a link of root's at the end too, and stop before the first folder or link that is not root's (nor
    of whoever runs this): what is behind it is its owner's to arrange.
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
