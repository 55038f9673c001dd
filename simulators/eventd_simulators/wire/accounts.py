"""passwd, subuid and subgid as real files in a folder, shared by the simulator and the daemon on it.

The file is read again for each query. Writers take a lock, write a new file and rename it over the old
one, as useradd(8) does, so that whoever watches the folder sees it.
"""

from __future__ import annotations

import asyncio
import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import PermanentError
from eventd.platform.model_facts import Account
from eventd_simulators.model.accounts import FIRST_SUBORDINATE, FIRST_UID, SUBORDINATES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


class PasswdFiles:
    """The databases in `<root>/etc`; homes are `<root>/home/<name>`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._etc = root / "etc"
        self._etc.mkdir(parents=True, exist_ok=True)

    def __iter__(self) -> Iterator[Account]:
        ranges = {kind: self._ranges(kind) for kind in ("subuid", "subgid")}
        for line in self._lines("passwd"):
            name, _, uid, gid, _, home, shell = line.split(":")
            yield Account(
                name, int(uid), int(gid), home, shell, ranges["subuid"].get(name), ranges["subgid"].get(name)
            )

    def get(self, name: str) -> Account | None:
        """Return an account."""
        return next((row for row in self if row.name == name), None)

    def by_uid(self, uid: int) -> Account | None:
        """Return the account with a uid."""
        return next((row for row in self if row.uid == uid), None)

    def add(self, name: str, *, shell: str = "/usr/sbin/nologin") -> Account:
        """Add a regular account with the next free ids, and make its home (whoever runs this owns it)."""
        with self._locked():
            if self.get(name) is not None:
                raise PermanentError(f"the account {name} already exists", reason="account-exists")
            uid = max([FIRST_UID - 1, *(row.uid for row in self)]) + 1
            start = FIRST_SUBORDINATE + (uid - FIRST_UID) * SUBORDINATES
            home = self._root / "home" / name
            home.mkdir(parents=True, exist_ok=True)
            for kind in ("subuid", "subgid"):
                self._write(kind, [*self._lines(kind), f"{name}:{start}:{SUBORDINATES}"])
            # Last, so that whoever sees the account sees its ranges too.
            self._write("passwd", [*self._lines("passwd"), f"{name}:x:{uid}:{uid}::{home}:{shell}"])
            found = self.get(name)
        assert found is not None
        return found

    def remove(self, name: str) -> None:
        """userdel, without the home."""
        with self._locked():
            for kind in ("passwd", "subuid", "subgid"):
                lines = self._lines(kind)
                self._write(kind, [line for line in lines if line.split(":", 1)[0] != name])

    def _ranges(self, kind: str) -> dict[str, tuple[int, int]]:
        rows = (line.split(":") for line in self._lines(kind))
        return {name: (int(first), int(count)) for name, first, count in rows}

    def _lines(self, kind: str) -> list[str]:
        try:
            return (self._etc / kind).read_text().splitlines()
        except FileNotFoundError:
            return []

    def _write(self, kind: str, lines: list[str]) -> None:
        new = self._etc / f"{kind}+"
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(self._etc / kind)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._etc / ".pwd.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


class FileAccounts:
    """`ports.Accounts` over those files, for the daemon's process."""

    def __init__(self, root: Path) -> None:
        self._files = PasswdFiles(root)

    async def lookup(self, name: str) -> Account | None:
        """See the port."""
        return await asyncio.to_thread(self._files.get, name)

    async def create(self, name: str, *, timeout: float) -> Account:
        """See the port."""
        async with asyncio.timeout(timeout):
            return await asyncio.to_thread(self._files.add, name)

    async def rename(self, old: Account, new: str, *, timeout: float) -> Account:
        """See the port: the demo renames nothing."""
        del timeout
        raise PermanentError(f"{old.name} cannot be renamed to {new} here", reason="not-supported")

    async def complete(self, account: Account, *, timeout: float) -> Account:
        """See the port: every account has its ranges from the start."""
        del timeout
        return account

    async def note(self, account: Account) -> None:
        """See the port: nothing is recorded."""
        del account

    async def former(self) -> Mapping[int, str]:
        """See the port: none but those of this life are known."""
        return {}

    async def is_taken(self, uid: int) -> bool:
        """See the port."""
        return any(row.uid == uid for row in await asyncio.to_thread(list, self._files))
