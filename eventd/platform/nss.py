"""Names of users and ids of groups, from NSS: in a thread, with a deadline, and never on the loop's.

getpwuid(3) and its like ask a server where nsswitch.conf(5) says so (sss, ldap, systemd), and hold their thread for as
long as that one takes. These have few threads of their own: a dead server costs the answer, and nobody else's work.
Decides nothing.
"""

from __future__ import annotations

import grp
import logging
import pwd
from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread
from anyio import CapacityLimiter

T = TypeVar("T")
log = logging.getLogger(__name__)
TIMEOUT = 5.0
"""Seconds. Who asked waits for the answer, and can do without it; a local name is there at once."""
_AT_ONCE = 2


class Nss:
    """Asks NSS. `user`, `group`: getpwuid and getgrnam, for tests."""

    def __init__(
        self,
        user: Callable[[int], pwd.struct_passwd] = pwd.getpwuid,
        group: Callable[[str], grp.struct_group] = grp.getgrnam,
    ) -> None:
        self._user = user
        self._group = group
        self._limiter: CapacityLimiter | None = None

    async def user_name(self, uid: int) -> str | None:
        """Return the name of a user; None if it does not exist, or NSS does not answer in time."""
        return await self._ask(lambda: self._user(uid).pw_name)

    async def gid(self, group: str) -> int | None:
        """Return the id of a group; None likewise."""
        return await self._ask(lambda: self._group(group).gr_gid)

    async def _ask(self, work: Callable[[], T]) -> T | None:
        self._limiter = self._limiter or CapacityLimiter(_AT_ONCE)
        with anyio.move_on_after(TIMEOUT):
            try:
                return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._limiter)
            except (KeyError, OSError):
                return None
        log.warning("the name service did not answer within %g s: see nsswitch.conf(5)", TIMEOUT)
        return None
