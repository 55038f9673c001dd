"""Finds which units have a TCP port open: the kernel lists listening sockets with the cgroup that created each.

sock_diag(7) over netlink, which needs no privilege; /proc/PID/fd of another user's process needs CAP_SYS_PTRACE.
Blocks, so it is called in a thread. Next: `eventd.waits.adapter_live_graph`.
"""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import anyio

from eventd.kernel.model.errors import TemporaryError
from eventd.platform.systemd.model_user_manager import manager_uid

CGROUPS = "/sys/fs/cgroup"
TIMEOUT = 2.0
"""Seconds for an answer of the kernel, which normally comes at once."""
MOST_FOLDERS = 20_000
"""How many control groups are searched."""
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x1 | 0x300  # NLM_F_REQUEST | NLM_F_DUMP
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_TCP_LISTEN = 10
_MESSAGE_FIXED = 72
"""Bytes of struct inet_diag_msg, before the attributes."""
_CGROUP_ID = 21
"""INET_DIAG_CGROUP_ID, since Linux 5.8: the inode of the folder in the unified hierarchy (cgroup v2)."""
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_UNITS = (".service", ".scope", ".socket", ".mount", ".swap")

_log = logging.getLogger(__name__)
_logged: set[str] = set()


class Owner(NamedTuple):
    """A unit, and the uid of the user whose manager runs it; None for the system manager."""

    unit: str
    uid: int | None = None


class OpenPort(NamedTuple):
    """One listening socket."""

    host: str
    port: int
    owner: Owner


class OpenPorts:
    """`ports.PortOwners`."""

    async def owners_of(self, port: int) -> Sequence[tuple[str, int | None]]:
        """See `ports.PortOwners`."""
        try:
            found = await anyio.to_thread.run_sync(open_ports, abandon_on_cancel=True)
        except TemporaryError as error:
            _log.warning("%s", error, extra={"reason": error.reason})
            return ()
        return tuple(dict.fromkeys((each.owner.unit, each.owner.uid) for each in found if each.port == port))


def open_ports(cgroups: str = CGROUPS) -> tuple[OpenPort, ...]:
    """Return the TCP ports that are open in this network namespace, each with its unit.

    Leaves out a socket that no unit created, such as one that systemd holds for a .socket unit. If the kernel does not
    report control groups, the result is empty, which is logged once. Raises TemporaryError(reason="sock-diag").
    """
    found = [each for family in (socket.AF_INET, socket.AF_INET6) for each in _listening(family)]
    if found and all(group is None for _, _, group in found):
        _log_once(
            "the kernel does not report who has a port open, which needs Linux 5.8: only declared ports are known"
        )
    wanted = frozenset(group for _, _, group in found if group is not None)
    owners = {inode: owner_of(path) for inode, path in _folders(wanted, cgroups)}
    ports = (
        OpenPort(host, port, owner)
        for host, port, group in found
        if (owner := owners.get(group or 0)) is not None
    )
    return tuple(dict.fromkeys(ports))


def owner_of(path: str) -> Owner | None:
    """Return the unit of a control group such as `user.slice/…/user@1001.service/app.slice/web.service/container`.

    That is the outermost unit that is not a slice; what is below it belongs to that unit. None if the group is in no
    unit: process 1 itself (`init.scope`), or a user's manager.
    """
    uid: int | None = None
    for part in path.split("/"):
        name = part.removeprefix("_")  # systemd's escape for names that the kernel reserves
        if uid is None and (uid := manager_uid(name)) is not None:
            continue
        if name == "init.scope":
            return None
        if name.endswith(_UNITS):
            return Owner(name, uid)
    return None


def _listening(family: int) -> Iterator[tuple[str, int, int | None]]:
    """Yield address, port and control group of the listening sockets of a family."""
    # struct inet_diag_req_v2: family, protocol, extensions, padding, states; any socket id.
    request = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, 1 << _TCP_LISTEN) + bytes(48)
    header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
    try:
        with socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG
        ) as sock:
            sock.settimeout(TIMEOUT)
            sock.send(header + request)
            while True:
                for kind, body in _messages(sock.recv(1 << 17)):
                    if kind == _NLMSG_DONE:
                        return
                    if kind == _NLMSG_ERROR:
                        raise _refused(body)
                    yield _socket(family, body)
    except OSError as error:
        raise TemporaryError(
            f"cannot read the kernel's list of listening sockets: {error.strerror or error}",
            reason="sock-diag",
        ) from error


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the type and body of each netlink message in a datagram (netlink(7))."""
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if length < _HEADER.size:
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def _refused(body: bytes) -> OSError:
    """Return the error of a struct nlmsgerr as an exception."""
    number = -struct.unpack_from("=i", body)[0]
    return OSError(number, os.strerror(number))


def _socket(family: int, body: bytes) -> tuple[str, int, int | None]:
    """Read a struct inet_diag_msg: four bytes, then port and peer's port, then the address, in network order."""
    (port,) = struct.unpack_from("!H", body, 4)
    address = body[8 : 12 if family == socket.AF_INET else 24]
    group, at = None, _MESSAGE_FIXED
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            break
        if kind == _CGROUP_ID and length >= _ATTRIBUTE.size + 8:
            (group,) = struct.unpack_from("=Q", body, at + _ATTRIBUTE.size)
        at += (length + 3) & ~3
    return str(ipaddress.ip_address(address)), int(port), group


def _folders(wanted: frozenset[int], root: str) -> Iterator[tuple[int, str]]:
    """Yield the control groups with these inodes, as paths below `root`. One may be gone by now, which is no error."""
    left, todo, searched = set(wanted), [root], 0
    while todo and left:
        folder = todo.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.is_dir(follow_symlinks=False):
                        continue
                    searched += 1
                    inode = entry.inode()
                    if inode in left:
                        left.discard(inode)
                        yield inode, os.path.relpath(entry.path, root)
                    todo.append(entry.path)
        except FileNotFoundError:
            continue
        except OSError as error:
            _log_once(f"cannot read the control groups in {folder}: {error.strerror or error}")
        if searched > MOST_FOLDERS:
            _log_once(f"there are more than {MOST_FOLDERS} control groups: not all are searched")
            return


def _log_once(message: str) -> None:
    if message not in _logged:
        _logged.add(message)
        _log.warning("%s", message)
