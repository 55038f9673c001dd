"""Finds the processes that use a file system, to name them, and to decide whether the disk is safe to remove.

It reads only /proc, and uses stat(2) on the links there, which does not access the disk. A process that ends meanwhile
does not count. The result is limited to a few processes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator

MOST = 20
LONGEST = 1000
"""Most characters of a cgroup's path in the result."""
_LINKS = (("cwd", "cwd"), ("root", "root"), ("exe", "program"))
Found = dict[str, object]


def users(numbers: Iterable[str]) -> list[Found]:
    """Return the processes that have something open on a file system, given its device numbers."""
    wanted = set(numbers)
    found: list[Found] = []
    for pid in _processes():
        how = _uses(pid, wanted)
        if how:
            found.append(describe(pid, how))
        if len(found) == MOST:
            break
    return found


def mounters(nodes: Iterable[str], numbers: Iterable[str]) -> list[Found]:
    """Return a process of each mount namespace in which the file system is mounted."""
    sources, wanted = set(nodes), set(numbers)
    seen: set[str] = set()
    found: list[Found] = []
    for pid in _processes():
        with contextlib.suppress(OSError):
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115
            if namespace in seen:
                continue
            seen.add(namespace)
            with open(f"/proc/{pid}/mountinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
                mounted = any(_is_of(line, sources, wanted) for line in file)
            if mounted:
                found.append(describe(pid, "mount namespace"))
                if len(found) == MOST:
                    break
    return found


def keeping(nodes: list[str], numbers: list[str]) -> Found:
    """Return what has the file system mounted or open. `claimed`: devices in use for which no process was found."""
    found = mounters(nodes, numbers)
    pids = {each["pid"] for each in found}
    found += [each for each in users(numbers) if each["pid"] not in pids]
    claimed = [] if found else [node for node in nodes if is_claimed(node, numbers)]
    return {"holders": found[:MOST], "claimed": claimed}


def is_claimed(node: str, numbers: Iterable[str]) -> bool:
    """Return whether the kernel has a device in use. This is authoritative, even if /proc shows no user."""
    try:
        status = os.stat(node)  # noqa: PTH116
        if not stat.S_ISBLK(status.st_mode) or number(status.st_rdev) not in set(numbers):
            return False  # it is gone, and another device has its name
        os.close(os.open(node, os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def describe(pid: int, how: str) -> Found:
    """Describe a process. Its cgroup shows owner and unit."""
    uid, cgroup = -1, ""
    with contextlib.suppress(OSError):
        uid = os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            cgroup = file.read().rpartition("::")[2].partition("\n")[0]
    return {"pid": pid, "command": _name(pid), "how": how, "uid": uid, "cgroup": _printable(cgroup[:LONGEST])}


def _is_of(line: str, sources: set[str], numbers: set[str]) -> bool:
    before, _, after = line.partition(" - ")
    fields, more = before.split(), after.split()
    # File systems over several devices have a number of their own, so compare the mount source.
    return len(fields) > 2 and (fields[2] in numbers or (len(more) > 1 and more[1] in sources))


def _processes() -> Iterator[int]:
    me = os.getpid()
    for name in sorted(os.listdir("/proc"), key=lambda each: (len(each), each)):  # noqa: PTH208
        if name.isdigit() and int(name) != me:
            yield int(name)


def _uses(pid: int, numbers: set[str]) -> str:
    folder = f"/proc/{pid}"
    for link, how in _LINKS:
        if _device(f"{folder}/{link}") in numbers:
            return how
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"{folder}/fd"):  # noqa: PTH208
            if _device(f"{folder}/fd/{descriptor}") in numbers:
                return "open file"
    with contextlib.suppress(OSError), open(f"{folder}/maps", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
        for line in file:
            fields = line.split(None, 4)
            if len(fields) > 3 and _number(fields[3]) in numbers:
                return "mapped file"
    return ""


def _device(path: str) -> str:
    try:
        device = os.stat(path).st_dev  # noqa: PTH116
    except OSError:
        return ""
    return number(device)


def number(device: int) -> str:
    """Return a device number in the format of mountinfo."""
    return f"{os.major(device)}:{os.minor(device)}"


def _number(field: str) -> str:
    """Return the device number of a line of maps (hexadecimal) in the format of mountinfo."""
    major, _, minor = field.partition(":")
    try:
        return f"{int(major, 16)}:{int(minor, 16)}"
    except ValueError:
        return ""


def _name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return _printable(file.read().strip())
    except OSError:
        return "?"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
