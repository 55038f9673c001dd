"""The ACCOUNT facts of the workloads, kept current by inotify on the account databases.

Owns which names are known and the fact of each. The databases are replaced by rename, so `/etc` is watched for their
names. A change in a directory service (LDAP, SSSD) sends no signal: such accounts are read when they become known and
after a local change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.accounts.ports import Accounts
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import Emit, KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.platform.inotify import CONTENT, SELF, Change, Inotify, Subscription
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.wake_loop import run_on_wake

_DATABASES = frozenset({"passwd", "subuid", "subgid", "nsswitch.conf"})


class AccountSource:
    """Emits `ACCOUNT_CHANGED` for each account that differs from its fact. `run` must be running."""

    def __init__(self, inotify: Inotify, emit: Emit, accounts: Accounts, *, etc: str = "/etc") -> None:
        self._inotify = inotify
        self._emit = emit
        self._accounts = accounts
        self._etc = etc
        self._known: dict[str, Account | None] = {}
        self._subscription: Subscription | None = None
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()
        inotify.on_gap(self._wake.set)

    async def known(self, names: Iterable[str]) -> None:
        """Keep the facts of exactly these accounts: read the new ones, forget the others.

        Raises TemporaryError(reason="nss-failed"); the accounts read until then are kept and emitted.
        """
        wanted = set(names)
        async with self._reading:
            self._subscribe()
            gone = sorted(self._known.keys() - wanted)
            for name in gone:
                del self._known[name]
            read = []
            try:
                for name in sorted(wanted - self._known.keys()):
                    self._known[name] = await self._accounts.lookup(name)
                    read.append(name)
            finally:
                if gone or read:
                    facts = [(FactKey(PlatformFact.ACCOUNT, n), self._known.get(n)) for n in (*gone, *read)]
                    self._emit(PlatformOrigin.INOTIFY, KernelEvent.READ, "accounts", facts=facts)

    async def refresh(self, name: str) -> Account | None:
        """Read one known account again without waiting for inotify, for instance after creating it."""
        async with self._reading:
            return await self._read(name)

    async def reread(self) -> None:
        """Read all known accounts again. Raises TemporaryError(reason="nss-failed")."""
        async with self._reading:
            self._subscribe()
            for name in sorted(self._known):
                await self._read(name)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Read all known accounts now and whenever a database changes, until cancelled; `started` once they are read.

        Raises TemporaryError(reason="nss-failed").
        """
        await run_on_wake(self._wake, self.reread, task_status)

    async def _read(self, name: str) -> Account | None:
        account = await self._accounts.lookup(name)
        if name in self._known and self._known[name] != account:
            self._known[name] = account
            self._emit(
                PlatformOrigin.INOTIFY,
                PlatformEvent.ACCOUNT_CHANGED,
                name,
                facts=[(FactKey(PlatformFact.ACCOUNT, name), account)],
            )
        return account

    def _subscribe(self) -> None:
        if self._subscription is not None:
            return
        self._subscription = self._inotify.subscribe(self._etc, CONTENT, self._on_change, follow=True)
        if self._subscription is None:
            raise PermanentError(f"the folder {self._etc} does not exist", reason="no-account-databases")

    def _on_change(self, change: Change) -> None:
        if change.lost and not change.name:
            if change.mask & SELF and self._subscription is not None:
                self._inotify.cancel(self._subscription)
            self._subscription = None
            self._wake.set()
        elif change.name in _DATABASES:
            self._wake.set()
