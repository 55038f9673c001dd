"""Identifies callers: the kernel reports the peer of a unix socket as of its connect (SO_PEERCRED, unix(7)).

Owns the roles of a caller; what a role may do is in `api.model_rights`. Nothing here blocks: the groups come from the
kernel too (SO_PEERGROUPS, socket(7)), so no directory service is asked, and a process that dropped a group has lost its
rights. A process in a user namespace counts by its uid outside of it: root in a workload's containers is the workload,
and its other users have no role.
"""

from __future__ import annotations

import os
import socket
import struct
from dataclasses import dataclass

from eventd.api.model_rights import Role

_CRED = struct.Struct("3i")
_SO_PEERGROUPS = 59
"""asm-generic/socket.h; Python has no name for it."""
_GROUPS_SIZE = 1024
"""Bytes: 256 groups, the most that Python's getsockopt accepts. Callers with more count by their primary group."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end, as it was when it connected."""

    pid: int
    uid: int
    gid: int
    groups: frozenset[int] = frozenset()


def peer(sock: socket.socket) -> Peer:
    """Return the peer of a connected unix socket."""
    size = _CRED.size
    pid, uid, gid = _CRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    try:
        raw = sock.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, _GROUPS_SIZE)
    except OSError:
        raw = b""
    return Peer(pid, uid & 0xFFFFFFFF, gid, frozenset(struct.unpack(f"{len(raw) // 4}I", raw)))


def roles_of(who: Peer, operators: int | None, workload: str) -> frozenset[Role]:
    """Return the roles of a caller: `operators` is the gid of the group, `workload` the workload with this uid."""
    if who.uid in (0, os.geteuid()):
        return frozenset({Role.ROOT})
    roles = set()
    if operators is not None and operators in {who.gid, *who.groups}:
        roles.add(Role.OPERATOR)
    if workload:
        roles.add(Role.WORKLOAD)
    return frozenset(roles or {Role.NOBODY})
