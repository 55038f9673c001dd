"""The DESERTED facts: user managers whose account was deleted while they ran, for instance by `userdel --force`.

The kernel and systemd only know uids, so `user@UID.service` and its processes run on without an account. If eventd then
creates the account again, with another uid, the workload runs twice. eventd does not kill these processes, since the
uid may belong to somebody else at any moment. It names them, with the command that stops them.

Only uids that a workload's account has had count. NSS is queried in a thread, and only about a manager that runs under
such a uid and that no known account has.
"""

from __future__ import annotations

import asyncio

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.accounts.model_facts import AccountFact
from eventd.accounts.ports import Accounts
from eventd.kernel.model.events import Emit, KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import Account, PlatformFact, unit
from eventd.platform.systemd.model_user_manager import manager_uid
from eventd.platform.wake_loop import run_on_wake


class DesertedManagers:
    """Keeps the DESERTED facts. `run` must be running."""

    def __init__(self, emit: Emit, facts: Facts, accounts: Accounts) -> None:
        self._emit = emit
        self._facts = facts
        self._accounts = accounts
        self._had: dict[int, str] = {}
        """Uid -> the account that had it since the daemon started; `Accounts.former` has the earlier ones."""
        self._wake = asyncio.Event()
        facts.watch_all(self._on_fact)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Check now and whenever a manager or an account changes. Raises TemporaryError(reason="nss-failed")."""
        await run_on_wake(self._wake, self.reread, task_status)

    async def reread(self) -> None:
        """Check every manager that runs under the uid of a former account."""
        found: dict[int, str] = {}
        if up := self._without_account():
            had = {**await self._accounts.former(), **self._had}
            found = {uid: had[uid] for uid in up if uid in had and not await self._accounts.is_taken(uid)}
        before = dict(self._facts.items(AccountFact.DESERTED))
        now = {FactKey(AccountFact.DESERTED, str(uid)): name for uid, name in found.items()}
        changed = [(key, now.get(key)) for key in {**before, **now} if before.get(key) != now.get(key)]
        if changed:
            self._emit(KernelOrigin.DAEMON, KernelEvent.READ, "former accounts", facts=changed)

    def _without_account(self) -> set[int]:
        """Return the uids of running managers, except those of known accounts."""
        taken = {row.uid for _, row in self._facts.items(PlatformFact.ACCOUNT) if isinstance(row, Account)}
        found = set()
        for key, value in self._facts.items(PlatformFact.UNIT, ""):
            uid, state = manager_uid(key.name), unit(value)
            if uid is not None and uid not in taken and state is not None and state.up:
                found.add(uid)
        return found

    def _on_fact(self, key: FactKey) -> None:
        if key.kind is PlatformFact.ACCOUNT:
            account = self._facts.get(key)
            if isinstance(account, Account):
                self._had[account.uid] = account.name
            self._wake.set()
        elif key.kind is PlatformFact.UNIT and not key.scope and manager_uid(key.name) is not None:
            self._wake.set()
