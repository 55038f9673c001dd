"""The ports `Logins` and `Accounts`, and the facts about users, sessions, lingering and shutdown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import EventKind, KernelEvent, KernelOrigin, Origin
from eventd.kernel.model.facts import FactKey, FactValue
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import Account, PlatformFact
from eventd_simulators.faults import Lossy
from eventd_simulators.inprocess.life import Channel, Life
from eventd_simulators.model import signals
from eventd_simulators.model.accounts import AccountTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from eventd_simulators.model.host import HostModel


class SimLogins:
    """`ports.Logins`, and logind as a source."""

    def __init__(self, life: Life, host: HostModel) -> None:
        self._life = life
        self._host = host
        self.channel = Channel(life, self.read_all)
        host.hub.listen(self._on_signal)

    async def set_linger(self, user: Account, enable: bool, *, timeout: float) -> None:  # noqa: FBT001
        """See the port."""
        del timeout

        def set_it() -> None:
            if self._host.accounts.get(user.name) is None:
                raise PermanentError(f"no such user: {user.name}", reason="no-such-user")
            self._host.logind.set_linger(user, enable=enable)
            self._post(KernelOrigin.REQUEST, PlatformEvent.LINGER_CHANGED, user.name, self._linger(user.name))

        await self._life.change(f"SetUserLinger {user.name} {enable}", set_it)
        await self.channel.flush()

    def read_all(self) -> None:
        """Read everything, after the start or a gap."""
        self._life.emit(PlatformOrigin.LOGIND, KernelEvent.GAP, "logind")
        self.reread()

    def reread(self) -> None:
        """Read everything again."""
        for account in self._host.accounts:
            if account.uid:
                self._post(
                    PlatformOrigin.LOGIND,
                    KernelEvent.READ,
                    account.name,
                    self._linger(account.name),
                    self._sessions(account.name),
                )
        self._post(PlatformOrigin.LOGIND, KernelEvent.READ, "logind", self._shutdown())

    def _on_signal(self, signal: signals.Signal) -> None:
        match signal:
            case signals.UserNew(_, name):
                self._post(PlatformOrigin.LOGIND, PlatformEvent.USER_NEW, name, signal=Lossy.USER)
            case signals.UserRemoved(_, name):
                self._post(PlatformOrigin.LOGIND, PlatformEvent.USER_REMOVED, name, signal=Lossy.USER)
            case signals.SessionNew(_, name):
                self._post(
                    PlatformOrigin.LOGIND,
                    PlatformEvent.SESSION_NEW,
                    name,
                    self._sessions(name),
                    signal=Lossy.SESSION,
                )
            case signals.SessionRemoved(_, name):
                self._post(
                    PlatformOrigin.LOGIND,
                    PlatformEvent.SESSION_REMOVED,
                    name,
                    self._sessions(name),
                    signal=Lossy.SESSION,
                )
            case signals.PrepareForShutdown():
                self._post(
                    PlatformOrigin.LOGIND,
                    PlatformEvent.SHUTDOWN,
                    "logind",
                    self._shutdown(),
                    signal=Lossy.SHUTDOWN,
                    announced=False,
                )
            case signals.FileChanged(path) if path.startswith(self._host.folders.linger + "/"):
                name = path.rsplit("/", 1)[-1]
                self._post(
                    PlatformOrigin.INOTIFY,
                    PlatformEvent.LINGER_CHANGED,
                    name,
                    self._linger(name),
                    signal=Lossy.LINGER,
                )
            case _:
                pass

    def _post(
        self,
        origin: Origin,
        kind: EventKind,
        subject: str,
        *facts: tuple[FactKey, FactValue],
        signal: Lossy | None = None,
        announced: bool = True,
    ) -> None:
        self.channel.post(
            lambda: self._life.emit(origin, kind, subject, facts=facts), signal=signal, announced=announced
        )

    def _linger(self, name: str) -> tuple[FactKey, FactValue]:
        return FactKey(PlatformFact.LINGER, name), self._host.logind.is_lingering(name)

    def _sessions(self, name: str) -> tuple[FactKey, FactValue]:
        people = (s.id for s in self._host.logind.sessions.values() if s.user == name and s.kind == "user")
        return FactKey(PlatformFact.SESSIONS, name), frozenset(people)

    def _shutdown(self) -> tuple[FactKey, FactValue]:
        return FactKey(PlatformFact.SHUTDOWN), self._host.logind.preparing


class SimAccounts:
    """`ports.Accounts`, and passwd as a source."""

    def __init__(self, life: Life, host: HostModel) -> None:
        self._life = life
        self._host = host
        self._known: dict[str, None] = {}
        self._channel = Channel(life, self.read_all)
        host.hub.listen(self._on_signal)

    async def lookup(self, name: str) -> Account | None:
        """See the port."""
        return await self._life.read(lambda: self._host.accounts.get(name))

    async def create(self, name: str, *, timeout: float) -> Account:
        """See the port."""
        del timeout

        def add() -> Account:
            if self._host.accounts.get(name) is not None:
                raise PermanentError(f"the account {name} exists", reason="account-exists")
            return self._host.accounts.add(name)

        # Random failures have no effect; `Faults.lost_replies` is for those that do.
        return await self._life.change(f"useradd {name}", add, failure=0)

    async def rename(self, old: Account, new: str, *, timeout: float) -> Account:
        """See the port."""
        del timeout

        def rename() -> Account:
            now = self._host.accounts.get(new)
            if now is not None and now.uid == old.uid:
                return now
            if now is not None or self._host.accounts.get(old.name) is None:
                raise PermanentError(f"cannot rename {old.name} to {new}", reason="account-exists")
            table = self._host.accounts
            assert isinstance(table, AccountTable), "only the simulator in process renames"
            table.remove(old.name)
            return table.put(replace(old, name=new))

        return await self._life.change(f"usermod {old.name} {new}", rename, failure=0)

    async def complete(self, account: Account, *, timeout: float) -> Account:
        """See the port: every account of the model has its ranges from the start."""
        del timeout
        return account

    async def note(self, account: Account) -> None:
        """See the port: the model gives no ids twice."""
        del account

    async def former(self) -> Mapping[int, str]:
        """See the port: none but those of this life are known."""
        return {}

    async def is_taken(self, uid: int) -> bool:
        """See the port."""
        return await self._life.read(lambda: self._host.accounts.by_uid(uid) is not None)

    async def known(self, names: Iterable[str]) -> None:
        """Keep the facts of exactly these accounts, as eventd's own source does (`Parts.track`)."""
        wanted = dict.fromkeys(sorted(names))
        changed = sorted(wanted.keys() ^ self._known.keys())
        self._known = wanted
        await self._life.read(lambda: None)
        facts = [
            (FactKey(PlatformFact.ACCOUNT, name), self._host.accounts.get(name) if name in wanted else None)
            for name in changed
        ]
        if facts:
            self._life.emit(PlatformOrigin.INOTIFY, KernelEvent.READ, "accounts", facts=facts)

    def read_all(self) -> None:
        """Read all known accounts again."""
        for name in self._known:
            self._emit_account(name)

    def _on_signal(self, signal: signals.Signal) -> None:
        if isinstance(signal, signals.AccountChanged) and signal.name in self._known:
            self._channel.post(lambda: self._emit_account(signal.name), signal=Lossy.ACCOUNT)

    def _emit_account(self, name: str) -> None:
        account = self._host.accounts.get(name)
        facts = ((FactKey(PlatformFact.ACCOUNT, name), account),)
        self._life.emit(PlatformOrigin.INOTIFY, PlatformEvent.ACCOUNT_CHANGED, name, facts=facts)
