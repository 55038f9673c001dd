"""Who may ask what: the kernel says who is at the other end of a unix socket (SO_PEERCRED, unix(7)).

Root, and whoever runs the daemon, may do everything; members of the operators' group may read; nobody else gets an
answer. The webhook's socket has one route and its own group, and needs no more than its file mode.
"""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web

_CRED = struct.Struct("3i")


class Right(StrEnum):
    """What a caller may do."""

    NOTHING = "nothing"
    READ = "read"
    CONTROL = "control"


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


def right_of(who: Caller | None, group: str) -> Right:
    """Return what a caller may do; `group` is the operators' group, which need not exist."""
    if who is None:
        return Right.NOTHING
    if who.uid in (0, os.geteuid()):
        return Right.CONTROL
    try:
        operators = grp.getgrnam(group).gr_gid
        groups = os.getgrouplist(pwd.getpwuid(who.uid).pw_name, who.gid)
    except KeyError:
        return Right.NOTHING
    return Right.READ if operators in groups else Right.NOTHING
