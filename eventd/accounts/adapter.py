"""Linux accounts: NSS, useradd(8), and the subordinate ids that rootless podman needs.

Owns the `Accounts` port and every write to the account databases. It never changes or removes an account that it did
not create, never guesses a home, and never adopts an existing group, home or account.

useradd locks the databases, waits a second between attempts, and gives up if another program keeps the lock. So this
module creates accounts one at a time (about 50 ms each).
"""

from __future__ import annotations

import asyncio
import errno
import grp
import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import anyio.to_thread

from eventd.accounts import adapter_login_defs as login_defs
from eventd.accounts.adapter_former import former, is_taken
from eventd.accounts.adapter_homes import check_home, check_room, complete_home
from eventd.accounts.adapter_refusals import refused
from eventd.accounts.adapter_subordinate_ids import Range, best, free_range, overlapping, parse_ranges
from eventd.accounts.adapter_used_ids import SUBORDINATE_IDS, Ids, Limits, UsedIds
from eventd.kernel.model.errors import DeadlineError, PermanentError, TemporaryError
from eventd.platform.model_facts import Account
from eventd.platform.processes.process import run
from eventd.platform.processes.unit_process import Processes
from eventd.workloads.model_recovery import ACCOUNT_COMMENT

GROUP = "eventd-managed"
"""Makes managed accounts visible in `id` and `getent group`. Membership grants nothing."""
_SHELLS = ("/usr/sbin/nologin", "/sbin/nologin", "/bin/false")


class SystemAccounts:
    """The `Accounts` port on a real host. `etc`: the folder of the account databases."""

    def __init__(
        self,
        *,
        etc: str = "/etc",
        useradd: str = "useradd",
        usermod: str = "usermod",
        processes: Processes | None = None,
        used: UsedIds | None = None,
    ) -> None:
        """Take the programs that write the databases. `used`: the ids handed out so far; None: useradd chooses."""
        self._processes = processes or Processes()
        self._etc = Path(etc)
        self._used = used
        self._useradd = useradd
        self._usermod = usermod
        self._one = asyncio.Lock()

    @property
    def writing(self) -> asyncio.Lock:
        """Held while a shadow program writes the databases: two at once would wait for each other's locks."""
        return self._one

    async def lookup(self, name: str) -> Account | None:
        """Return the account from NSS with its subordinate ranges, or None.

        Raises TemporaryError(reason="nss-failed") if the databases cannot be read.
        """
        try:
            return await anyio.to_thread.run_sync(self._lookup, name, abandon_on_cancel=True)
        except OSError as error:
            raise TemporaryError(
                f"cannot look up the account {name}: {error.strerror}", reason="nss-failed"
            ) from error

    async def create(self, name: str, *, timeout: float) -> Account:
        """Create the account; see the port.

        Raises PermanentError(reason="account-exists" | "group-exists" | "home-exists" | "invalid-name" |
        "subid-overlap" | …), TemporaryError(reason="accounts-locked" | "disk-full"), DeadlineError.
        """
        try:
            async with asyncio.timeout(timeout), self._one:
                account = await self._create(name, timeout)
                return await self._complete(account, timeout)
        except TimeoutError:
            raise DeadlineError(f"the account {name} was not created within {timeout:g} s") from None

    async def complete(self, account: Account, *, timeout: float) -> Account:
        """Finish an account that an earlier `create` of *ours* left incomplete, and check it.

        useradd(8) writes passwd, shadow, group and the subordinate ids one by one, then creates the home; it may have
        been killed after any step. Idempotent. Raises as `create` does.
        """
        try:
            async with asyncio.timeout(timeout), self._one:
                await self._complete_databases(account, timeout)
                await complete_home(account, self._etc, self._processes, timeout=timeout)
                return await self._complete(account, timeout)
        except TimeoutError:
            raise DeadlineError(
                f"the account {account.name} was not completed within {timeout:g} s"
            ) from None

    async def rename(self, old: Account, new: str, *, timeout: float) -> Account:
        """Give an account another name; see the port.

        usermod(8) does not rename the rows of subuid(5), and can only edit the rows of an existing account. So the rows
        are removed before the rename and added after it. After a crash, the databases themselves show how far it got.
        """
        try:
            async with asyncio.timeout(timeout), self._one:
                return await self._rename(old, new, timeout)
        except TimeoutError:
            raise DeadlineError(f"the account {old.name} was not renamed within {timeout:g} s") from None

    async def _rename(self, old: Account, new: str, timeout: float) -> Account:
        before, after = await self.lookup(old.name), await self.lookup(new)
        if after is not None and after.uid != old.uid:
            raise PermanentError(
                f"the account {new} already exists",
                reason="account-exists",
                hint="give the workload another name",
            )
        if before is not None and before.uid == old.uid:
            if ranges := _ranges_of(before, "--del-subuids", "--del-subgids"):
                await self._change([self._usermod, *ranges, "--", old.name], timeout)
            await self._change([self._usermod, "--login", new, "--", old.name], timeout)
        account = await self.lookup(new)
        if account is None:
            raise PermanentError(f"no account {old.name} with uid {old.uid} exists", reason="no-account")
        if await anyio.to_thread.run_sync(_group_name, account.gid, abandon_on_cancel=True) == old.name:
            await self._change(["groupmod", "--new-name", new, "--", old.name], timeout)
        lost = replace(
            old,
            subuid=old.subuid if account.subuid is None else None,
            subgid=old.subgid if account.subgid is None else None,
        )
        if ranges := _ranges_of(lost, "--add-subuids", "--add-subgids"):
            await self._change([self._usermod, *ranges, "--", new], timeout)
        account = await self.lookup(new)
        if account is None:
            raise TemporaryError(f"the renamed account {new} is not in NSS yet", reason="nss-failed")
        return account

    async def _change(self, argv: Sequence[str], timeout: float) -> None:
        completed = await run(list(argv), timeout=timeout)
        if completed.status == 8:
            raise TemporaryError(
                f"{argv[-1]} is in use: {completed.text()}", reason="account-busy", hint=f"ps -u {argv[-1]}"
            )
        if not completed.ok:
            raise refused(completed, argv[-1])

    async def _create(self, name: str, timeout: float) -> Account:
        if await self.lookup(name) is not None:
            raise PermanentError(
                f"the account {name} already exists",
                reason="account-exists",
                hint=f"rename the workload, or hand the account over: eventctl adopt {name}",
            )
        arguments = await anyio.to_thread.run_sync(self._arguments, name, abandon_on_cancel=True)
        # Not abandoned on cancellation: the row must be on disk before an account uses these ids.
        arguments += await anyio.to_thread.run_sync(self._numbers, name)
        completed = await run([self._useradd, *arguments, "--", name], timeout=timeout)
        if not completed.ok:
            raise refused(completed, name)
        account = await self.lookup(name)
        if account is None:
            raise TemporaryError(f"the new account {name} is not in NSS yet", reason="nss-failed")
        return account

    async def note(self, account: Account) -> None:
        """Record that these ids are or were an account's, so that they are never handed out again."""
        if self._used is not None:
            try:
                await anyio.to_thread.run_sync(self._used.record, _ids_of(account))
            except OSError as error:
                raise _record_error(account.name, error) from error

    async def former(self) -> Mapping[int, str]:
        """Return the uids of the file of used ids; see the port."""
        return await former(self._used) if self._used is not None else {}

    async def is_taken(self, uid: int) -> bool:
        """Ask NSS; see the port."""
        return await is_taken(uid)

    async def _complete(self, account: Account, timeout: float) -> Account:
        """Add the subordinate ranges if useradd did not (it needs /etc/subuid to exist), and check them."""
        await anyio.to_thread.run_sync(check_home, account, abandon_on_cancel=True)
        missing = await anyio.to_thread.run_sync(self._missing, account, abandon_on_cancel=True)
        if missing:
            completed = await run([self._usermod, *missing, "--", account.name], timeout=timeout)
            if not completed.ok:
                raise refused(completed, account.name)
        complete = await self.lookup(account.name)
        if complete is None or complete.subuid is None or complete.subgid is None:
            raise PermanentError(
                f"the account {account.name} has no subordinate ids", reason="subid-missing", hint=_SUBID_HINT
            )
        await anyio.to_thread.run_sync(self._check_ranges, complete, abandon_on_cancel=True)
        await self.note(complete)
        return complete

    async def _complete_databases(self, account: Account, timeout: float) -> None:
        """Add missing rows of group and shadow. Without a shadow row PAM refuses to start the user's manager."""
        if self._etc != Path("/etc"):
            return  # groupadd(8) and pwconv(8) only write to /etc
        lacks = await anyio.to_thread.run_sync(self._lacks_rows, account, abandon_on_cancel=True)
        if "group" in lacks:
            argv = ["groupadd", "--gid", str(account.gid), "--", account.name]
            (await run(argv, timeout=timeout)).require(reason="group-missing")
        if "shadow" in lacks:
            (await run(["pwconv"], timeout=timeout)).require(reason="shadow-missing")

    # The methods below run in a worker thread.

    def _lacks_rows(self, account: Account) -> list[str]:
        lacks = []
        for database in ("group", "shadow"):
            try:
                text = (self._etc / database).read_text("utf-8", "replace")
            except FileNotFoundError:
                continue
            if not any(line.startswith(f"{account.name}:") for line in text.splitlines()):
                lacks.append(database)
        return lacks

    def _lookup(self, name: str) -> Account | None:
        try:
            row = pwd.getpwnam(name)
        except KeyError:
            return None
        return Account(
            name=row.pw_name,
            uid=row.pw_uid,
            gid=row.pw_gid,
            home=row.pw_dir,
            shell=row.pw_shell,
            subuid=best(self._ranges("subuid"), row.pw_name, row.pw_uid),
            subgid=best(self._ranges("subgid"), row.pw_name, row.pw_uid),
            comment=row.pw_gecos,
        )

    def _ranges(self, database: str) -> list[Range]:
        try:
            text = (self._etc / database).read_text("utf-8", "replace")
        except FileNotFoundError:
            return []
        return parse_ranges(text)

    def _arguments(self, name: str) -> list[str]:
        """Return useradd's options. Raises if the home already exists: useradd would use it."""
        home = f"{login_defs.home_base(self._etc)}/{name}"
        if os.path.lexists(home):
            raise PermanentError(
                f"{home} exists, but the account {name} does not",
                reason="home-exists",
                hint="move it away, or create the account that it belongs to",
            )
        if self._etc == Path("/etc"):
            check_room(name, self._etc)
        shell = next((shell for shell in _SHELLS if os.access(shell, os.X_OK)), _SHELLS[-1])
        options = ["--create-home", "--user-group", "--shell", shell, "--comment", ACCOUNT_COMMENT]
        if login_defs.has_group(self._etc, GROUP):
            options += ["--groups", GROUP]
        return options

    def _numbers(self, name: str) -> list[str]:
        """Return useradd's options for the ids of a new account: ids that no account has or had."""
        if self._used is None:
            return []
        etc = self._etc
        limits = Limits(
            (login_defs.uid_min(etc), login_defs.uid_max(etc)),
            login_defs.subordinate_limits(etc, "subuid"),
            login_defs.subordinate_limits(etc, "subgid"),
        )
        # shadow's backup files (passwd-, group-) still list an account that was just deleted.
        numbers = [
            number
            for database in ("passwd", "passwd-", "group", "group-")
            for number in _third_fields(etc / database)
        ]
        ends = [
            [each.end for name_ in (database, f"{database}-") for each in self._ranges(name_)]
            for database in ("subuid", "subgid")
        ]
        try:
            ids = self._used.reserve(name, limits, numbers, (ends[0], ends[1]))
        except OSError as error:
            raise _record_error(name, error) from error
        options = ["--uid", str(ids.uid)]
        for kind, first in (("SUB_UID", ids.subuid), ("SUB_GID", ids.subgid)):
            last = first + SUBORDINATE_IDS - 1
            for key, value in (("MIN", first), ("MAX", last), ("COUNT", SUBORDINATE_IDS)):
                options += ["--key", f"{kind}_{key}={value}"]
        return options

    def _missing(self, account: Account) -> list[str]:
        options = []
        for database, have, option in (
            ("subuid", account.subuid, "--add-subuids"),
            ("subgid", account.subgid, "--add-subgids"),
        ):
            if have is None or have[1] < SUBORDINATE_IDS:
                lowest, highest = login_defs.subordinate_limits(self._etc, database)
                before = self._used.ranges(sub=database) if self._used is not None else []
                taken = [*self._ranges(database), *(Range("", *each) for each in before)]
                first = free_range(taken, lowest, highest)
                if first is None:
                    raise PermanentError(
                        f"{self._etc / database} has no room for {SUBORDINATE_IDS} ids",
                        reason="subid-missing",
                        hint=_SUBID_HINT,
                    )
                options += [option, f"{first}-{first + SUBORDINATE_IDS - 1}"]
        return options

    def _check_ranges(self, account: Account) -> None:
        for database, have in (("subuid", account.subuid), ("subgid", account.subgid)):
            assert have is not None
            if have[1] < SUBORDINATE_IDS:
                raise PermanentError(
                    f"{account.name} has {have[1]} of {SUBORDINATE_IDS} ids in {self._etc / database}",
                    reason="subid-missing",
                    hint=_SUBID_HINT,
                )
            other = overlapping(self._ranges(database), account, have)
            if other is not None:
                raise PermanentError(
                    f"the ids {have[0]}-{have[0] + have[1] - 1} of {account.name} in {self._etc / database} "
                    f"overlap those of {other.owner}",
                    reason="subid-overlap",
                    hint="one account could act as the other's containers: fix the file by hand",
                )


_SUBID_HINT = "see subuid(5), and SUB_UID_MIN, SUB_UID_MAX and SUB_UID_COUNT in /etc/login.defs"


def _ids_of(account: Account) -> Ids:
    subuid, subgid = account.subuid or (0, 0), account.subgid or (0, 0)
    return Ids(account.name, account.uid, account.gid, subuid[0], subgid[0], made=True)


def _third_fields(path: Path) -> list[int]:
    """Return the third field of each row: the uid of passwd(5), the gid of group(5)."""
    try:
        rows = [line.split(":") for line in path.read_text("utf-8", "replace").splitlines()]
    except FileNotFoundError:
        return []
    return [int(row[2]) for row in rows if len(row) > 2 and row[2].isdecimal()]


def _record_error(name: str, error: OSError) -> TemporaryError:
    reason = "disk-full" if error.errno == errno.ENOSPC else "ids-unwritten"
    return TemporaryError(
        f"cannot record the ids of the account {name}, so it is not created: {error.strerror}",
        reason=reason,
    )


def _ranges_of(account: Account, uids: str, gids: str) -> list[str]:
    options = []
    for option, have in ((uids, account.subuid), (gids, account.subgid)):
        if have is not None:
            options += [option, f"{have[0]}-{have[0] + have[1] - 1}"]
    return options


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return ""
