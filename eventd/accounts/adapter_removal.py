"""Deletes an account that eventd created: its processes, its home, and its rows in the databases.

Owns the `AccountRemoval` port on a real host. Every step checks again before it acts, because days may pass between the
approval and the deletion: the account must still be the one that eventd created, and nobody may log in to it with a
password.

Processes run under the account's uid and under its subordinate ids (containers), in any cgroup and session. The daemon
itself has no right to signal them. `eventd.accounts.process_ending` ends them, in a unit that may take these ids and
has no other right. userdel(8) refuses while any process is left. Its option -r is not used, because it would walk
through the home as root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import stat
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import anyio.to_thread

from eventd.accounts import adapter_login_defs as login_defs
from eventd.accounts.adapter_home_removal import Home, discard, measure
from eventd.accounts.adapter_signs import SystemAccountSigns
from eventd.accounts.adapter_subordinate_ids import overlapping, parse_ranges
from eventd.accounts.ports import Measured
from eventd.adoption.model import Password
from eventd.kernel.model.errors import DeadlineError, PermanentError, TemporaryError
from eventd.platform.model_facts import Account
from eventd.platform.processes.process import run
from eventd.platform.processes.unit_process import Processes
from eventd.platform.processes.unit_rights import AsRoot

SPOOLS = ("/var/mail", "/var/spool/mail", "/var/spool/cron/crontabs")
"""Folders with one file per user name. A later account of the same name must not inherit it."""


class Sweeper(Protocol):
    """The type of `eventd.storage.adapter_mount_points.HelperMountPoints.sweep`."""

    async def __call__(self, uid: int, subuid: tuple[int, int], *, timeout: float) -> tuple[str, ...]:
        """Return what was left behind."""
        ...


class SystemAccountRemoval:
    """See the module. `writing`: the lock held while a shadow program writes the databases."""

    def __init__(
        self,
        writing: asyncio.Lock,
        *,
        etc: str = "/etc",
        userdel: str = "userdel",
        processes: Processes | None = None,
        note: Callable[[Account], Awaitable[None]] | None = None,
        sweeper: Sweeper | None = None,
    ) -> None:
        """`note` is called before an account is deleted, so that its ids are never handed out again."""
        self._writing = writing
        self._note = note
        self._sweeper = sweeper
        self._etc = Path(etc)
        self._processes = processes or Processes()
        self._signs = SystemAccountSigns(etc=etc, processes=self._processes)
        self._userdel = userdel

    async def refusal(self, account: Account) -> str:
        """Return why this account must not be deleted, or an empty string.

        Raises TemporaryError(reason="nss-failed") if the databases cannot be read.
        """
        try:
            found = await anyio.to_thread.run_sync(self._refusal, account, abandon_on_cancel=True)
        except OSError as error:
            raise TemporaryError(
                f"cannot look up the account {account.name}: {error.strerror}", reason="nss-failed"
            ) from error
        if found:
            return found
        # Only what root alone can set counts. The workload itself can write keys into its home: it has no shell to
        # log in to with them, and they would block the deletion for ever.
        if await self._signs.password(account) is not Password.NONE:
            return "a person can log in to it: it has a password, or an empty password field"
        return ""

    async def measure(self, account: Account, *, timeout: float) -> Measured:
        """Count the files in the home; see `home_removal.measure`."""
        base = await anyio.to_thread.run_sync(login_defs.home_base, self._etc, abandon_on_cancel=True)
        until = time.monotonic() + timeout
        home = Home(account.home, account.uid)
        return await anyio.to_thread.run_sync(measure, home, base, lambda: time.monotonic() > until)

    async def end_processes(self, account: Account, *, timeout: float) -> None:
        """Kill every process that runs under the account's ids; return when none is left.

        Raises PermanentError(reason="protected") if another account shares these ids, and DeadlineError naming a
        process that did not end.
        """
        try:
            others = await anyio.to_thread.run_sync(self._others, account, abandon_on_cancel=True)
        except OSError as error:
            raise TemporaryError(
                f"cannot look up the account {account.name}: {error.strerror}", reason="nss-failed"
            ) from error
        if others:
            raise PermanentError(
                f"the processes of {account.name} are not killed: {others}",
                reason="protected",
                hint=f"end them by hand: ps -u {account.name}",
            )
        first, count = account.subuid or (0, 0)
        argv = [
            sys.executable,
            "-I",
            "-m",
            "eventd.accounts.process_ending",
            str(account.uid),
            str(first),
            str(count),
        ]
        # The helper's own deadline is a little earlier than ours.
        done = await self._processes.run(AsRoot(), [*argv, f"{int(timeout)}"], timeout=timeout + 10)
        if done.status == 1:
            left = done.text().strip() or "unknown"
            raise DeadlineError(f"processes of {account.name} did not end within {timeout:g} s: {left}")
        done.require(reason="processes-not-ended")

    async def discard_home(self, account: Account, *, timeout: float) -> None:
        """Delete the home; see `adapter_home_removal`. Continues where an interrupted call stopped."""
        base = await anyio.to_thread.run_sync(login_defs.home_base, self._etc, abandon_on_cancel=True)
        home = Home(account.home, account.uid)
        given_up = False
        work = asyncio.ensure_future(asyncio.to_thread(discard, home, base, lambda: given_up))
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(work)
        except TimeoutError:
            raise DeadlineError(
                f"the home {account.home} was not deleted within {timeout:g} s; the next attempt continues from there"
            ) from None
        finally:
            # The thread must not keep deleting after we return. It checks this flag before each entry.
            given_up = True
            with contextlib.suppress(DeadlineError):
                await work

    async def sweep(self, account: Account, *, timeout: float) -> tuple[str, ...]:
        """Remove its files outside its home, in a unit that sees the host's temporary folders; see the port."""
        if self._sweeper is None:
            return ("files outside its home were not searched for",)
        return await self._sweeper(account.uid, account.subuid or (0, 0), timeout=timeout)

    async def delete(self, account: Account, *, timeout: float) -> None:
        """Delete the rows of passwd, shadow, group, subuid and subgid, and the files in spools. Idempotent.

        Raises TemporaryError(reason="accounts-locked" | "account-busy" | "disk-full"), PermanentError, DeadlineError.
        """
        if self._note is not None:
            await self._note(account)
        await anyio.to_thread.run_sync(_clear_spools, account, abandon_on_cancel=True)
        async with self._writing:
            done = await run([self._userdel, "--", account.name], timeout=timeout)
        detail = done.text().rpartition("\n")[2]
        match done.status:
            case 0 | 6:  # 6: the account does not exist (any more)
                return
            case 8:
                raise TemporaryError(
                    f"{account.name} is in use: {detail}", reason="account-busy", hint=f"ps -u {account.name}"
                )
            case 1 | 10 if "lock" in detail:
                raise TemporaryError(
                    detail, reason="accounts-locked", hint="another program is changing the accounts"
                )
            case _:
                raise PermanentError(
                    f"userdel {account.name} failed ({done.status}): {detail}", reason="account-failed"
                )

    # The methods below run in a worker thread.

    def _refusal(self, account: Account) -> str:
        if others := self._others(account):
            return others
        if account.shell.rpartition("/")[2] not in ("nologin", "false"):
            return f"it has a login shell ({account.shell}), and eventd never sets one"
        for other in pwd.getpwall():
            if other.pw_name != account.name and f"{other.pw_dir}/".startswith(f"{account.home}/"):
                return f"its home is also that of {other.pw_name}"
        return ""

    def _others(self, account: Account) -> str:
        """Return why processes under the account's ids may belong to somebody else, or an empty string."""
        lowest, highest = login_defs.uid_min(self._etc), login_defs.uid_max(self._etc)
        if not lowest <= account.uid <= highest:
            return f"its uid {account.uid} is not between {lowest} and {highest}"
        return self._shared_ids(account)

    def _shared_ids(self, account: Account) -> str:
        """Return who else has ids in its subordinate range: their processes must not be mistaken for its containers."""
        first, count = account.subuid or (0, 0)
        for row in pwd.getpwall():
            if first <= row.pw_uid < first + count:
                return f"its subordinate ids include the uid of {row.pw_name}"
        try:
            ranges = parse_ranges((self._etc / "subuid").read_text("utf-8", "replace"))
        except FileNotFoundError:
            return ""
        other = overlapping(ranges, account, (first, count))
        return f"its subordinate ids overlap those of {other.owner}" if other is not None else ""


class NoAccountRemoval:
    """For simulated accounts: their names may be real accounts of this host."""

    async def refusal(self, account: Account) -> str:
        """Refuse always."""
        del account
        return "the accounts are simulated"

    async def measure(self, account: Account, *, timeout: float) -> Measured:
        """Count nothing."""
        del account, timeout
        return Measured(0, 0, complete=False)

    async def end_processes(self, account: Account, *, timeout: float) -> None:
        """Do nothing: their processes do not run here."""
        del account, timeout

    async def discard_home(self, account: Account, *, timeout: float) -> None:
        """Raise: `refusal` was ignored."""
        raise _not_ours(account, timeout)

    async def sweep(self, account: Account, *, timeout: float) -> tuple[str, ...]:
        """Raise."""
        raise _not_ours(account, timeout)

    async def delete(self, account: Account, *, timeout: float) -> None:
        """Raise."""
        raise _not_ours(account, timeout)


def _not_ours(account: Account, _timeout: float) -> PermanentError:
    return PermanentError(f"the account {account.name} is simulated", reason="not-ours")


def _clear_spools(account: Account) -> None:
    for folder in SPOOLS:
        try:
            spool = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            continue
        try:
            status = os.stat(account.name, dir_fd=spool, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode) and status.st_uid == account.uid:
                os.unlink(account.name, dir_fd=spool)
        except FileNotFoundError:
            pass
        finally:
            os.close(spool)
