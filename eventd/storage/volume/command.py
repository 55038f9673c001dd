"""The requests: seal or renew a mount point, create a folder on a volume, find the users of a file system."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from eventd.storage.volume import emptying, holders, leftovers, moving, points
from eventd.storage.volume.places import Refused, is_mounted, safe, walk

_PATH = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*){2,8}")
_VOLUME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,30}[a-z0-9])?")
_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def folder(mount: str, name: str, uid: int, gid: int) -> None:
    """Make the folder of a workload on a mounted volume."""
    top, parent = walk(mount, make=False)
    if not is_mounted(top, parent):
        raise Refused("not-mounted", f"nothing is mounted at {mount}")
    safe(os.fstat(top), mount)
    try:
        os.mkdir(name, 0o700, dir_fd=top)
    except FileExistsError:
        status = os.stat(name, dir_fd=top, follow_symlinks=False)
        if status.st_mode & 0o170000 != 0o040000:
            raise Refused(
                "folder-owner", f"{mount}/{name} is not a folder", f"remove {mount}/{name}"
            ) from None
        if status.st_uid == uid:
            return
        if status.st_uid == 0 and not any(os.scandir(f"/proc/self/fd/{top}/{name}")):
            pass  # created by us, and interrupted before it was handed over
        else:
            raise Refused(
                "folder-owner",
                f"{mount}/{name} belongs to uid {status.st_uid}, but the workload {name} has uid {uid}",
                f"chown -R {name}: {mount}/{name} if the data is this workload's; else move it away",
            ) from None
    made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    os.fchown(made, uid, gid)
    os.fchmod(made, 0o700)
    os.fsync(made)
    os.fsync(top)


def main() -> int:
    """Carry out the order in the file that the first argument names."""
    try:
        if len(sys.argv) == 6 and sys.argv[1] == "job":
            sys.stdout.write(json.dumps(_work(*sys.argv[2:])) + "\n")
            return 0
        order = json.loads(Path(sys.argv[1]).read_text())
        _carry_out(order)
    except Refused as found:
        _report(found.reason, found.message, found.hint)
        return 1
    except OSError as error:
        _report("file-error", f"{error.strerror}: {error.filename or ''}".rstrip(": "), "", temporary=True)
        return 1
    return 0


def _carry_out(order: dict[str, object]) -> None:
    match order:
        case {"do": "seal", "path": str(path)} if _PATH.fullmatch(path):
            points.seal(path)
        case {"do": "renew", "path": str(path)} if _PATH.fullmatch(path):
            points.renew(path)
        case {"do": "unseal", "path": str(path)} if _PATH.fullmatch(path):
            sys.stdout.write(json.dumps({"became": points.unseal(path)}) + "\n")
        case {"do": "folder", "mount": str(mount), "name": str(name), "uid": int(uid), "gid": int(gid)} if (
            _PATH.fullmatch(mount) and _NAME.fullmatch(name) and uid > 0 and gid > 0
        ):
            folder(mount, name, uid, gid)
        case {
            "do": "holders",
            "nodes": list(nodes),
            "numbers": list(numbers),
            "mounts": bool(mounts),
        } if all(isinstance(each, str) for each in (*nodes, *numbers)):
            found = holders.keeping(nodes, numbers) if mounts else {"holders": holders.users(numbers)}
            sys.stdout.write(json.dumps(found) + "\n")
        case {"do": "sweep", "uid": int(uid), "subuid": [int(first), int(count)]} if uid > 0 and first >= 0:
            owner = leftovers.Owner(uid, (first, count))
            sys.stdout.write(json.dumps(leftovers.sweep(owner)) + "\n")
        case {"do": "prepare", "source": str(source), "target": str(target), "name": str(name)} if _paths(
            source, target, name
        ):
            sys.stdout.write(json.dumps(moving.prepare(source, target, name)) + "\n")
        case {"do": "settle", "target": str(target), "name": str(name)} if _paths(target, target, name):
            moving.settle(target, name)
        case _:
            raise Refused("bad-order", "the request is not valid")


def _paths(source: str, target: str, name: str) -> bool:
    return bool(_PATH.fullmatch(source) and _PATH.fullmatch(target) and _VOLUME.fullmatch(name))


def _work(job: str, name: str, source: str, target: str) -> dict[str, object]:
    """Carry out a long job, in a unit of its own."""
    if not _paths(source, target, name):
        raise Refused("bad-order", "the job is not valid")
    copied = f"{target}/{moving.draft_of(name)}/data"
    match job:
        case "copy":
            return moving.copy(source, copied)
        case "verify":
            return moving.verify(source, copied)
        case "discard":
            return emptying.discard(target, moving.draft_of(name))
        case "forget":
            return emptying.empty(target, moving.LEFT_OUT)
        case _:
            raise Refused("bad-order", f"there is no job {job}")


def _report(reason: str, message: str, hint: str, *, temporary: bool = False) -> None:
    sys.stdout.write(
        json.dumps({"reason": reason, "message": message, "hint": hint, "temporary": temporary}) + "\n"
    )
