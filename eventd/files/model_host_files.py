"""Files of this host that a workload names but its account cannot read.

Pure. `eventctl check` uses it when it runs on the target host; otherwise the daemon or podman finds the problem at the
start, which is after the push. Judged by owner, groups, mode and access control list (acl(5)) of the file and of each
folder on the way, which `eventd.files.commands_host_files` reads.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from eventd.desired.model import NamedFile, Workload
from eventd.files.model_named import HOME, PROVIDER
from eventd.kernel.model.diagnostics import Diagnostic, Severity

_READ, _SEARCH = 4, 1
_USER_OBJ, _USER, _GROUP_OBJ, _GROUP, _MASK, _OTHER = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
_HEADER, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")


@dataclass(frozen=True, slots=True)
class Reader:
    """The reading account: the workload's, or the one that will be created for it."""

    uid: int | None
    """None: it does not exist yet, so it has no groups and owns nothing."""
    groups: AbstractSet[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Place:
    """A folder on the way, or the file at its end."""

    path: str
    mode: int
    """The mode of stat(2), including the file type."""
    uid: int
    gid: int
    acl: bytes = b""
    """The value of `system.posix_acl_access`; empty if it has none."""


def unreadable(
    workload: Workload, reader: Reader, places: Mapping[str, tuple[Place, ...]]
) -> Iterator[Diagnostic]:
    """Yield a warning about each named file that the account cannot read.

    `places`: path as written -> the way to it from `/`, as far as it exists and the caller can see it.
    """
    reported: set[tuple[str, int, str]] = set()
    for named in (each for unit in workload.units for each in unit.named):
        way = places.get(named.path, ())
        where = (named.file, named.line, named.path)
        refusals = tuple(_refusals(way, reader))
        if refusals and named.key != PROVIDER and named.path != HOME and where not in reported:
            reported.add(where)
            yield _finding(workload.name, named, refusals, reader)


def _refusals(way: tuple[Place, ...], reader: Reader) -> Iterator[tuple[Place, str]]:
    for number, place in enumerate(way):
        folder = stat.S_ISDIR(place.mode)
        last = number == len(way) - 1
        # The last visible folder may be one that only root may enter: that is then the answer.
        need = _SEARCH if folder else _READ
        if last and not folder and not stat.S_ISREG(place.mode):
            continue  # reading does not apply to a socket or device
        if not _may(place, reader, need):
            yield place, "x" if folder else "r"


def _may(place: Place, reader: Reader, need: int) -> bool:
    if reader.uid == 0:
        return True
    rows = _rows(place.acl)
    if reader.uid == place.uid:
        return bool((place.mode >> 6) & need)
    if not rows:
        return bool((place.mode >> (3 if place.gid in reader.groups else 0)) & need)
    mask = next((bits for tag, bits, _ in rows if tag == _MASK), 7)
    for tag, bits, who in rows:
        if tag == _USER and who == reader.uid:
            return bool(bits & mask & need)
    mine = [
        bits
        for tag, bits, who in rows
        if (tag == _GROUP_OBJ and place.gid in reader.groups) or (tag == _GROUP and who in reader.groups)
    ]
    if mine:
        return any(bits & mask & need for bits in mine)
    return bool(place.mode & need)


def _rows(acl: bytes) -> list[tuple[int, int, int]]:
    """Return tag, permissions and id of each entry; empty if the list is not version 2."""
    size = _HEADER.size
    if len(acl) < size or _HEADER.unpack_from(acl)[0] != 2 or (len(acl) - size) % _ENTRY.size:
        return []
    return list(_ENTRY.iter_unpack(acl[size:]))


def _finding(
    name: str, named: NamedFile, refusals: tuple[tuple[Place, str], ...], reader: Reader
) -> Diagnostic:
    place, bit = refusals[0]
    whose = f"{place.path} is uid {place.uid}, gid {place.gid}, mode {stat.S_IMODE(place.mode):04o}"
    what = "is not readable" if bit == "r" else "cannot be entered"
    who = f"the account {name}" if reader.uid is not None else f"the account that will be created for {name}"
    message = f"{named.path} cannot be read by {who}: {whose}, which {what} to it"
    lists = " && ".join(f"setfacl -m u:{name}:{need} {each.path}" for each, need in refusals)
    modes = " && ".join(
        f"chgrp {name} {each.path} && chmod g+r {each.path}" if need == "r" else f"chmod o+x {each.path}"
        for each, need in refusals
    )
    hint = f"{lists} (package acl); or {modes}; or a podman secret"
    if reader.uid is None:
        hint = f"once the first run has created the account: {hint}"
    return Diagnostic(Severity.WARNING, named.file, named.line, "", message, hint, code="unreadable-file")
