"""Look at the host with an account's own rights, in a worker thread, for the length of a few system calls.

Owns the change of the calling thread's ids: effective uid, file system gid, supplementary groups. What the thread opens
or looks up meanwhile is what the account could open itself, wherever a link leads. No await inside, and nothing is
written. `eventd.adapters.peer_socket` has the effective uid, and says why it is set by a raw system call.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from eventd.adapters.peer_socket import effective_uid
from eventd.core.errors import PermanentError
from eventd.core.facts import Account

# asm/unistd.h; on 32-bit machines this is setgroups32.
_SETGROUPS = {
    ("x86_64", 8): 116,
    ("aarch64", 8): 159,
    ("riscv64", 8): 159,
    ("loongarch64", 8): 159,
    ("ppc64le", 8): 81,
    ("s390x", 8): 206,
    ("i686", 4): 206,
    ("x86_64", 4): 206,
    ("armv7l", 4): 206,
    ("aarch64", 4): 206,
}
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


@contextmanager
def as_account(account: Account | None, *, groups: bool = False) -> Iterator[None]:
    """Run the block with the account's rights; where there is none, or this is not root, with one's own.

    `groups`: with its supplementary groups too, as its own processes have; else with none that it has and root has not.
    Raises PermanentError(reason="access-denied").
    """
    if account is None or os.geteuid() != 0:
        yield
        return
    before = os.getgroups()
    if groups:
        _set_groups(os.getgrouplist(account.name, account.gid))
    # setfsgid(2) is the calling thread's alone, also by glibc's wrapper, and needs root to be undone.
    _libc.setfsgid(account.gid)
    try:
        with effective_uid(account.uid):
            yield
    finally:
        _libc.setfsgid(os.getegid())
        if groups:
            _set_groups(before)


def _set_groups(groups: Sequence[int]) -> None:
    """Set the calling thread's groups: glibc's wrapper would set them for all threads (nptl(7))."""
    number = _SETGROUPS.get((platform.machine(), struct.calcsize("P")))
    if number is None:
        raise PermanentError(
            f"eventd does not know the number of setgroups(2) on {platform.machine()}",
            reason="unsupported-machine",
        )
    array = (ctypes.c_uint32 * len(groups))(*groups)
    if _libc.syscall(ctypes.c_long(number), ctypes.c_long(len(groups)), array) != 0:
        code = ctypes.get_errno()
        raise PermanentError(f"cannot set groups: {os.strerror(code)}", reason="access-denied")
