"""Who asks: the kernel says who is at the other end of a unix socket (SO_PEERCRED, unix(7)).

Owns the roles of a caller; what they may do is the table of `core.rights`. The webhook's socket has one route and
its own group, and needs no more than its file mode.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass

from aiohttp import web

from eventd.core.rights import Role

_CRED = struct.Struct("3i")


@dataclass(frozen=True, slots=True)
class Caller:
    """The process at the other end, as it was when it connected."""

    pid: int
    uid: int
    gid: int


def caller(request: web.Request) -> Caller | None:
    """Return who asks, None where the transport has no such thing."""
    transport = request.transport
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.family is not socket.AF_UNIX:
        return None
    return Caller(*_CRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CRED.size)))


def roles_of(who: Caller | None, group: str) -> frozenset[Role]:
    """Return what a caller is; `group` is the operators' group, which need not exist. Asks NSS: may block."""
    if who is None:
        return frozenset({Role.NOBODY})
    if who.uid in (0, os.geteuid()):
        return frozenset({Role.ROOT})
    try:
        operators = grp.getgrnam(group).gr_gid
        groups = os.getgrouplist(pwd.getpwuid(who.uid).pw_name, who.gid)
    except KeyError:
        return frozenset({Role.NOBODY})
    return frozenset({Role.OPERATOR if operators in groups else Role.NOBODY})
