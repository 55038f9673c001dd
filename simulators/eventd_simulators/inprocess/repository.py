"""The ports `Repository`, `UnitLog` and `QuadletGenerator`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import DeadlineError, PermanentError, TemporaryError
from eventd.repository.ports import Fetched
from eventd_simulators.model import quadlet

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventd.desired.model import Tree
    from eventd.platform.model_facts import Account
    from eventd_simulators.git_remote import GitRemote
    from eventd_simulators.inprocess.life import Life
    from eventd_simulators.model.host import HostModel

FETCH = 0.05
"""Seconds that a fetch takes at least."""


class Clone:
    """What is on the disk, and outlives the daemon."""

    def __init__(self) -> None:
        self.head = ""


class SimRepository:
    """`ports.Repository` over a simulated remote."""

    def __init__(self, life: Life, remote: GitRemote, clone: Clone) -> None:
        self._life = life
        self._remote = remote
        self._clone = clone
        self.allow_rewrite = False

    async def fetch(self) -> Fetched:
        """See the port."""
        faults = self._life.faults
        if self._remote.hangs:
            await asyncio.sleep(self._remote.hangs)
            raise DeadlineError("cannot fetch: git fetch was not done in time", reason="remote-timeout")
        if self._remote.down or faults.hits(faults.fetch_failures):
            await self._life.read(lambda: None)
            raise TemporaryError("cannot fetch: the remote cannot be reached", reason="remote-unreachable")
        if not self._remote.head:
            raise PermanentError("the branch does not exist", reason="branch-missing")

        def update() -> Fetched:
            old, new = self._clone.head, self._remote.head
            if old and not self.allow_rewrite and not self._remote.is_ancestor(old, new):
                raise PermanentError(f"{new} does not have {old} in its history", reason="rewritten")
            self._clone.head = new
            return Fetched(new, old)

        return await self._life.change("fetch", update, failure=0)

    async def current(self) -> str | None:
        """See the port."""
        return await self._life.read(lambda: self._clone.head or None)

    async def tree(self, commit: str) -> Tree:
        """See the port."""
        if commit not in self._remote.commits:
            raise PermanentError(f"no commit {commit}", reason="commit-missing")
        return await self._life.read(lambda: self._remote.tree(commit))

    async def resolve(self, text: str) -> str:
        """See the port."""
        head = self._clone.head
        found = [each for each in self._remote.commits if each.startswith(text)]
        if len(found) != 1 or not head or not self._remote.is_ancestor(found[0], head):
            raise PermanentError(f"no commit {text}", reason="no-such-commit")
        return await self._life.read(lambda: found[0])


class SimUnitLog:
    """`ports.UnitLog`: the journal of the model's units."""

    def __init__(self, life: Life, host: HostModel) -> None:
        self._life = life
        self._host = host

    async def tail(
        self, account: Account | None, unit: str, *, lines: int, invocation: str = ""
    ) -> Sequence[str]:
        """See the port."""

        def read() -> list[str]:
            manager = self._host.managers.get(account.name) if account else self._host.system
            known = manager.units.get(unit) if manager else None
            said = known.log if known else []
            return [line for run, line in said if not invocation or run == invocation][-lines:]

        return await self._life.read(read)


class SimPortOwners:
    """`ports.PortOwners`: no port is open on the model."""

    async def owners_of(self, port: int) -> Sequence[tuple[str, int | None]]:
        """See the port."""
        del port
        return ()


class SimGenerator:
    """`ports.QuadletGenerator`: the model's own."""

    def __init__(self, life: Life) -> None:
        self._life = life

    async def dry_run(self, files: Mapping[str, bytes]) -> Sequence[str]:
        """See the port."""

        def check() -> list[str]:
            content = dict(files)
            return [
                complaint
                for name in sorted(content)
                if quadlet.suffix_of(name)
                for complaint in quadlet.complaints(name, quadlet.entries_of(name, content))
            ]

        return await self._life.read(check)
