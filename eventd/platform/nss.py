"""Looks up names of users and ids of groups in NSS: in a thread of its own, with a deadline.

getpwuid(3) and getgrnam(3) may ask a server (sss, ldap; see nsswitch.conf(5)), and block their thread until it answers.
These lookups have their own few threads, so a dead server delays no other work.
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

from eventd.kernel.model.errors import TemporaryError

T = TypeVar("T")
log = logging.getLogger(__name__)
TIMEOUT = 5.0
"""Seconds. The caller waits this long, and can do without the answer; a local name comes at once."""
_AT_ONCE = 2


async def ask(
    work: Callable[[], T],
    what: str,
    *,
    silent: str = "no answer",
    hint: str = "",
    limiter: CapacityLimiter | None = None,
) -> T | None:
    """Return what `work` finds in NSS, run in a thread; None if it raises KeyError, as for a name that does not exist.

    `what`, `silent`: for the error. Raises TemporaryError(reason="nss-failed") if NSS fails or does not answer in time.
    """
    try:
        with anyio.fail_after(TIMEOUT):
            return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)
    except KeyError:
        return None
    except TimeoutError:
        why = f"{silent} within {TIMEOUT:g} s"
    except OSError as error:
        why = error.strerror or str(error)
    raise TemporaryError(f"cannot look up {what}: {why}", reason="nss-failed", hint=hint)


class Nss:
    """Looks up users and groups. `user`, `group`: getpwuid and getgrnam; tests replace them."""

    def __init__(
        self,
        user: Callable[[int], pwd.struct_passwd] = pwd.getpwuid,
        group: Callable[[str], grp.struct_group] = grp.getgrnam,
    ) -> None:
        self._user = user
        self._group = group
        self._limiter: CapacityLimiter | None = None

    async def user_name(self, uid: int) -> str | None:
        """Return the name of a user; None if there is none, or NSS does not answer in time."""
        try:
            return await self._look_up(lambda: self._user(uid).pw_name, f"the user {uid}")
        except TemporaryError as error:
            log.warning("%s", error)
            return None

    async def gid(self, group: str) -> int | None:
        """Return the id of a group; None if there is none. Raises TemporaryError(reason="nss-failed")."""
        return await self._look_up(lambda: self._group(group).gr_gid, f"the group {group}")

    async def _look_up(self, work: Callable[[], T], what: str) -> T | None:
        self._limiter = self._limiter or CapacityLimiter(_AT_ONCE)
        return await ask(
            work,
            what,
            silent="the name service did not answer",
            hint="see nsswitch.conf(5), and `getent group`",
            limiter=self._limiter,
        )
