"""logind: users, sessions, lingering, and the announcement of a shutdown (org.freedesktop.login1(5)).

A user is known while it lingers, has a session, or its manager runs; the manager of a user who neither
lingers nor has a session is stopped after `UserStopDelaySec=` (10 s). The lingering flag is a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd_simulators.model.signals import (
    PrepareForShutdown,
    SessionNew,
    SessionRemoved,
    Timer,
    UserNew,
    UserRemoved,
)

if TYPE_CHECKING:
    from eventd.platform.model_facts import Account
    from eventd_simulators.model.host import HostModel

STOP_DELAY = 10.0


@dataclass(frozen=True, slots=True)
class Session:
    """One session."""

    id: str
    user: str
    uid: int
    kind: str
    """`Class`: `user` for a person, `manager` for the session of `user@.service` itself (since systemd
    256)."""
    seat: str = ""


class Logind:
    """The state of logind."""

    def __init__(self, host: HostModel) -> None:
        self._host = host
        self.users: dict[str, int] = {}
        self.sessions: dict[str, Session] = {}
        self.preparing = False
        self._numbers = 0
        self._stops: dict[str, Timer] = {}

    def is_lingering(self, name: str) -> bool:
        """Return whether the flag file is there."""
        return self._host.flags.is_set(name)

    def boot(self) -> None:
        """Start the managers of all who linger."""
        for account in self._host.accounts:
            if self.is_lingering(account.name):
                self._add_user(account)

    def set_linger(self, account: Account, *, enable: bool) -> None:
        """SetUserLinger: the file first, then the user's manager."""
        self._host.flags.set(account.name, on=enable)
        if enable:
            self._add_user(account)
        else:
            self._check_stop(account)

    def login(self, account: Account, *, kind: str = "user") -> Session:
        """Open a session."""
        self._numbers += 1
        session = Session(
            f"c{self._numbers}" if kind == "manager" else str(self._numbers), account.name, account.uid, kind
        )
        self.sessions[session.id] = session
        if kind == "user":
            self._add_user(account)
        elif account.name not in self.users:
            self.users[account.name] = account.uid
            self._host.hub.send(UserNew(account.uid, account.name))
        self._host.hub.send(SessionNew(session.id, account.name))
        return session

    def logout(self, session: str) -> None:
        """Close a session."""
        gone = self.sessions.pop(session, None)
        if gone is None:
            return
        self._host.hub.send(SessionRemoved(gone.id, gone.user))
        account = self._host.accounts.get(gone.user)
        if account is not None and gone.kind == "user":
            self._check_stop(account)

    def manager_started(self, account: Account) -> None:
        """PAM opens a session of class `manager` for `user@.service`."""
        self.login(account, kind="manager")

    def manager_stopped(self, account: Account) -> None:
        """That session ends with the manager."""
        for session in list(self.sessions.values()):
            if session.user == account.name and session.kind == "manager":
                self.logout(session.id)
        if not self._is_kept(account.name) and self.users.pop(account.name, None) is not None:
            self._host.hub.send(UserRemoved(account.uid, account.name))

    def prepare_for_shutdown(self, *, active: bool) -> None:
        """Announce a shutdown, or call it off."""
        self.preparing = active
        self._host.hub.send(PrepareForShutdown(active))

    def power_off(self) -> None:
        """Forget what is volatile."""
        for timer in self._stops.values():
            timer.cancel()
        self._stops.clear()
        self.users.clear()
        self.sessions.clear()
        self.preparing = False

    def _add_user(self, account: Account) -> None:
        timer = self._stops.pop(account.name, None)
        if timer is not None:
            timer.cancel()
        if account.name not in self.users:
            self.users[account.name] = account.uid
            self._host.hub.send(UserNew(account.uid, account.name))
        self._host.system.start(f"user@{account.uid}.service")

    def _is_kept(self, name: str) -> bool:
        return self.is_lingering(name) or any(
            session.user == name and session.kind == "user" for session in self.sessions.values()
        )

    def _check_stop(self, account: Account) -> None:
        if self._is_kept(account.name) or account.name in self._stops:
            return
        self._stops[account.name] = self._host.clock.call_later(STOP_DELAY, lambda: self._stop(account))

    def _stop(self, account: Account) -> None:
        self._stops.pop(account.name, None)
        if not self._is_kept(account.name):
            self._host.system.stop(f"user@{account.uid}.service")
