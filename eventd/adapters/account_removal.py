"""Deleting an account that eventd made: its processes, its home, its rows in the databases.

Owns the `AccountRemoval` port of a real host. Every step looks again before it acts, since days may lie between the
signature and the deed: the account has to be the one that was made, with nobody logged in by a password.

Processes run under the account's uid and under its subordinate ids (containers). They are ended through pidfds
(pidfd_open(2)): a number that has been given to somebody else meanwhile is never hit. userdel(8) refuses by itself
while any is left; its option -r is not used, since it walks through the home as root.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import anyio.to_thread

from eventd.adapters import login_defs
from eventd.adapters.account_signs import SystemAccountSigns
from eventd.adapters.accounts import overlapping, parse_ranges
from eventd.adapters.home_removal import Home, discard, measure
from eventd.adapters.process import run
from eventd.core.adoption import Password
from eventd.core.errors import DeadlineError, PermanentError, TemporaryError
from eventd.core.facts import Account
from eventd.core.ports import Measured

SIGNS_TIMEOUT = 10.0
"""Seconds for looking into the home for keys, with the account's own rights."""
SPOOLS = ("/var/mail", "/var/spool/mail", "/var/spool/cron/crontabs")
"""Folders with a file per user, by name: a later account of that name must not find one."""


class SystemAccountRemoval:
    """See the module. `writing`: held while a program of shadow's writes the databases."""

    def __init__(self, writing: asyncio.Lock, *, etc: str = "/etc", userdel: str = "userdel") -> None:
        self._writing = writing
        self._etc = Path(etc)
        self._signs = SystemAccountSigns(etc=etc)
        self._userdel = userdel

    async def refusal(self, account: Account) -> str:
        """Return why this account must not be deleted, an empty text if nothing speaks against it.

        Raises TemporaryError(reason="nss-failed") where the databases cannot be read.
        """
        try:
            found = await anyio.to_thread.run_sync(self._refusal, account, abandon_on_cancel=True)
        except OSError as error:
            raise TemporaryError(
                f"cannot look at the account {account.name}: {error.strerror}", reason="nss-failed"
            ) from error
        if found:
            return found
        signs = await self._signs.look(account, timeout=SIGNS_TIMEOUT)
        if signs.password is not Password.NONE:
            return "it has a password, or none is asked for: a person logs in with it"
        if signs.ssh_keys:
            return f"a person can log in with the keys in {', '.join(signs.ssh_keys)}"
        return f"whether a person uses it cannot be seen ({signs.unknown})" if signs.unknown else ""

    async def measure(self, account: Account, *, timeout: float) -> Measured:
        """Count what is in the home; see `home_removal.measure`."""
        base = await anyio.to_thread.run_sync(login_defs.home_base, self._etc, abandon_on_cancel=True)
        until = time.monotonic() + timeout
        home = Home(account.home, account.uid)
        return await anyio.to_thread.run_sync(measure, home, base, lambda: time.monotonic() > until)

    async def end_processes(self, account: Account, *, timeout: float) -> None:
        """Kill what runs under the account's ids, and return when none of it is left.

        Raises DeadlineError naming one that would not end.
        """
        last = ""
        try:
            async with asyncio.timeout(timeout):
                while found := await anyio.to_thread.run_sync(_kill_all, account):
                    last = f"{found[0][1]} ({found[0][0]})"
                    try:
                        for _, _, pidfd in found:
                            await _ended(pidfd)
                    finally:
                        for _, _, pidfd in found:
                            os.close(pidfd)
        except TimeoutError:
            raise DeadlineError(
                f"processes of {account.name} did not end within {timeout:g} s, such as {last}"
            ) from None

    async def discard_home(self, account: Account, *, timeout: float) -> None:
        """Delete the home; see `home_removal`. Goes on where an earlier call was cut off."""
        base = await anyio.to_thread.run_sync(login_defs.home_base, self._etc, abandon_on_cancel=True)
        home = Home(account.home, account.uid)
        given_up = False
        work = asyncio.ensure_future(asyncio.to_thread(discard, home, base, lambda: given_up))
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(work)
        except TimeoutError:
            raise DeadlineError(
                f"the home {account.home} was not deleted within {timeout:g} s; it goes on from there"
            ) from None
        finally:
            # The thread must not go on behind whoever comes next; it asks before each entry.
            given_up = True
            with contextlib.suppress(DeadlineError):
                await work

    async def delete(self, account: Account, *, timeout: float) -> None:
        """Delete the rows of passwd, shadow, group, subuid and subgid, and the files in spools. Idempotent.

        Raises TemporaryError(reason="accounts-locked" | "account-busy" | "disk-full"), PermanentError, DeadlineError.
        """
        await anyio.to_thread.run_sync(_clear_spools, account, abandon_on_cancel=True)
        async with self._writing:
            done = await run([self._userdel, "--", account.name], timeout=timeout)
        said = done.text().rpartition("\n")[2]
        match done.status:
            case 0 | 6:  # 6: there is no such account (any more)
                return
            case 8:
                raise TemporaryError(
                    f"{account.name} is in use: {said}", reason="account-busy", hint=f"ps -u {account.name}"
                )
            case 1 | 10 if "lock" in said:
                raise TemporaryError(
                    said, reason="accounts-locked", hint="another program is changing the accounts"
                )
            case _:
                raise PermanentError(
                    f"userdel {account.name} failed ({done.status}): {said}", reason="account-failed"
                )

    # In a worker thread from here on.

    def _refusal(self, account: Account) -> str:
        lowest, highest = login_defs.uid_min(self._etc), login_defs.uid_max(self._etc)
        if not lowest <= account.uid <= highest:
            return f"its uid {account.uid} is outside of {lowest} to {highest}"
        if account.shell.rpartition("/")[2] not in ("nologin", "false"):
            return f"it has a login shell ({account.shell}), which eventd gives to none"
        for other in pwd.getpwall():
            if other.pw_name != account.name and f"{other.pw_dir}/".startswith(f"{account.home}/"):
                return f"its home is also that of {other.pw_name}"
        return self._shared_ids(account)

    def _shared_ids(self, account: Account) -> str:
        """Return whose ids are among its subordinate ids: their processes must not be taken for its containers'."""
        first, count = account.subuid or (0, 0)
        for row in pwd.getpwall():
            if first <= row.pw_uid < first + count:
                return f"its subordinate ids have the uid of {row.pw_name} among them"
        try:
            ranges = parse_ranges((self._etc / "subuid").read_text("utf-8", "replace"))
        except FileNotFoundError:
            return ""
        other = overlapping(ranges, account, (first, count))
        return f"its subordinate ids overlap those of {other.owner}" if other is not None else ""


class NoAccountRemoval:
    """For accounts that are not this system's: a name of theirs may be somebody's here."""

    async def refusal(self, account: Account) -> str:
        """Return why: always the same."""
        del account
        return "the accounts of this host are not the system's"

    async def measure(self, account: Account, *, timeout: float) -> Measured:
        """Count nothing."""
        del account, timeout
        return Measured(0, 0, complete=False)

    async def end_processes(self, account: Account, *, timeout: float) -> None:
        """Raise: `refusal` has been asked before."""
        raise _not_ours(account, timeout)

    async def discard_home(self, account: Account, *, timeout: float) -> None:
        """Raise."""
        raise _not_ours(account, timeout)

    async def delete(self, account: Account, *, timeout: float) -> None:
        """Raise."""
        raise _not_ours(account, timeout)


def _not_ours(account: Account, _timeout: float) -> PermanentError:
    return PermanentError(f"the account {account.name} is not this system's", reason="not-ours")


def _kill_all(account: Account) -> list[tuple[int, str, int]]:
    """Kill every process of the account; return (pid, name, pidfd) of each. The pidfds are the caller's."""
    found = []
    for pid in _pids():
        if not _is_of(pid, account):
            continue
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        # The number may have been given away between the two looks; now it is held.
        if not _is_of(pid, account):
            os.close(pidfd)
            continue
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        found.append((pid, _field(pid, "Name"), pidfd))
    return found


def _pids() -> Iterator[int]:
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdecimal():
                yield int(entry.name)


def _is_of(pid: int, account: Account) -> bool:
    """Tell whether a process runs under an id of the account's (real, effective, saved or of the file system).

    A zombie runs no more, and its parent may never look.
    """
    uids = _field(pid, "Uid").split()
    if not uids or _field(pid, "State")[:1] in ("Z", "X"):
        return False
    first, count = account.subuid or (0, 0)
    return any(int(uid) == account.uid or (count and first <= int(uid) < first + count) for uid in uids)


def _field(pid: int, key: str) -> str:
    """Return a line of proc_pid_status(5), empty once the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            for line in file:
                if line.startswith(f"{key}:"):
                    return line.partition(":")[2].strip()
    except (FileNotFoundError, ProcessLookupError):
        pass
    return ""


async def _ended(pidfd: int) -> None:
    """Await the end of a process."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    loop.add_reader(pidfd, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(pidfd)


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
