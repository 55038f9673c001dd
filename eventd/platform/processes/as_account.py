"""Reads the host with an account's own rights, in a worker thread, for a few system calls.

Owns the change of the calling thread's file system ids (setfsuid(2)) and supplementary groups. The thread can then only
open what the account could open, wherever a link leads. It must not await or write.

Signals, ptrace and scheduling calls do not check these ids. For them the thread still belongs to root, so the account
cannot change its priority, which it could do for good with an effective uid.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from eventd.kernel.model.errors import PermanentError
from eventd.platform.model_facts import Account

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
for _call in (_libc.setfsuid, _libc.setfsgid):
    _call.argtypes, _call.restype = [ctypes.c_uint], ctypes.c_uint


@contextmanager
def as_account(account: Account | None, *, groups: bool = False) -> Iterator[None]:
    """Run the block with the account's rights; without an account, or if not root, with the caller's own.

    `groups`: also with the account's supplementary groups, as its own processes have them.
    Raises PermanentError(reason="access-denied").
    """
    if account is None or os.geteuid() != 0:
        yield
        return
    before = os.getgroups()
    if groups:
        _set_groups(os.getgrouplist(account.name, account.gid))
    # Both are per thread, in glibc's wrappers too. A uid other than root's removes the capabilities that override file
    # permissions (capabilities(7), "Effect of user ID changes"); root's restores them.
    _libc.setfsgid(account.gid)
    _libc.setfsuid(account.uid)
    try:
        # Neither call reports failure, so check which id is in effect.
        if _libc.setfsuid(-1) != account.uid or _libc.setfsgid(-1) != account.gid:
            raise PermanentError(f"cannot read files as uid {account.uid}", reason="access-denied")
        yield
    finally:
        _libc.setfsuid(os.geteuid())
        _libc.setfsgid(os.getegid())
        if groups:
            _set_groups(before)


def _set_groups(groups: Sequence[int]) -> None:
    """Set the calling thread's groups. glibc's wrapper would set them for all threads (nptl(7))."""
    number = _SETGROUPS.get((platform.machine(), struct.calcsize("P")))
    if number is None:
        raise PermanentError(
            f"setgroups(2) is not supported on {platform.machine()}",
            reason="unsupported-machine",
        )
    array = (ctypes.c_uint32 * len(groups))(*groups)
    if _libc.syscall(ctypes.c_long(number), ctypes.c_long(len(groups)), array) != 0:
        code = ctypes.get_errno()
        raise PermanentError(f"cannot set groups: {os.strerror(code)}", reason="access-denied")
