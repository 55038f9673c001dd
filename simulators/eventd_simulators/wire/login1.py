"""org.freedesktop.login1 on the system bus: the model's logind (org.freedesktop.login1(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from eventd_simulators.model import signals
from eventd_simulators.wire.dbus_object import BusError, Row, Service, reply

if TYPE_CHECKING:
    from dbus_fast import Message

    from eventd_simulators.model.host import HostModel
    from eventd_simulators.model.logind import Session

NAME: Final = "org.freedesktop.login1"
PATH: Final = "/org/freedesktop/login1"
MANAGER: Final = f"{NAME}.Manager"
USERS: Final = f"{PATH}/user/_"
SESSIONS: Final = f"{PATH}/session/"


def session_path(identity: str) -> str:
    """Return a session's object path; a leading digit is escaped (sd_bus_path_encode(3))."""
    first = f"_{ord(identity[0]):02x}" if identity[:1].isdigit() else identity[:1]
    return f"{SESSIONS}{first}{identity[1:]}"


class LogindService(Service):
    """logind."""

    def __init__(self, host: HostModel) -> None:
        super().__init__(NAME)
        self._host = host
        self._stop_listening = host.hub.listen(self._on_signal)
        for member, method in (
            ("ListUsers", self._list_users),
            ("GetUser", self._get_user),
            ("ListSessions", self._list_sessions),
            ("GetSession", self._get_session),
            ("SetUserLinger", self._set_linger),
        ):
            self.methods[MANAGER, member] = method

    async def stop(self) -> None:
        """Leave the bus."""
        self._stop_listening()
        await super().stop()

    def get_all(self, path: str, interface: str) -> Row | None:
        """Return properties of the manager, a user, or a session."""
        del interface
        logind = self._host.logind
        if path == PATH:
            return {
                "PreparingForShutdown": ("b", logind.preparing),
                "NCurrentSessions": ("t", len(logind.sessions)),
            }
        for name, uid in logind.users.items():
            if path == f"{USERS}{uid}":
                return self._user(name, uid)
        for session in logind.sessions.values():
            if path == session_path(session.id):
                return self._session(session)
        return None

    def _user(self, name: str, uid: int) -> Row:
        unit = self._host.system.units.get(f"user@{uid}.service")
        running = unit is not None and str(unit.active) == "active"
        lingers = self._host.logind.is_lingering(name)
        state = "opening" if not running else "lingering" if lingers else "online"
        return {
            "UID": ("u", uid),
            "Name": ("s", name),
            "Service": ("s", f"user@{uid}.service"),
            "State": ("s", state),
            "Linger": ("b", lingers),
        }

    @staticmethod
    def _session(session: Session) -> Row:
        return {
            "Id": ("s", session.id),
            "User": ("(uo)", [session.uid, f"{USERS}{session.uid}"]),
            "Name": ("s", session.user),
            "Class": ("s", session.kind),
            "State": ("s", "active"),
        }

    def _list_users(self, message: Message) -> Message:
        rows = [[uid, name, f"{USERS}{uid}"] for name, uid in self._host.logind.users.items()]
        return reply(message, "a(uso)", rows)

    def _get_user(self, message: Message) -> Message:
        uid = message.body[0]
        if uid not in self._host.logind.users.values():
            raise BusError(f"{NAME}.NoSuchUser", f"User ID {uid} is not logged in or lingering")
        return reply(message, "o", f"{USERS}{uid}")

    def _list_sessions(self, message: Message) -> Message:
        rows = [
            [s.id, s.uid, s.user, s.seat, session_path(s.id)] for s in self._host.logind.sessions.values()
        ]
        return reply(message, "a(susso)", rows)

    def _get_session(self, message: Message) -> Message:
        if message.body[0] not in self._host.logind.sessions:
            raise BusError(f"{NAME}.NoSuchSession", f"No session '{message.body[0]}' known")
        return reply(message, "o", session_path(message.body[0]))

    def _set_linger(self, message: Message) -> Message:
        uid, enable, _interactive = message.body
        account = self._host.accounts.by_uid(uid)
        if account is None:
            raise BusError("org.freedesktop.DBus.Error.FileNotFound", f"No such user: {uid}")
        self._host.logind.set_linger(account, enable=enable)
        return reply(message)

    def _on_signal(self, signal: signals.Signal) -> None:
        match signal:
            case signals.UserNew(uid, _):
                self.signal(PATH, MANAGER, "UserNew", "uo", uid, f"{USERS}{uid}")
            case signals.UserRemoved(uid, _):
                self.signal(PATH, MANAGER, "UserRemoved", "uo", uid, f"{USERS}{uid}")
            case signals.SessionNew(identity, _):
                self.signal(PATH, MANAGER, "SessionNew", "so", identity, session_path(identity))
            case signals.SessionRemoved(identity, _):
                self.signal(PATH, MANAGER, "SessionRemoved", "so", identity, session_path(identity))
            case signals.PrepareForShutdown(active):
                self.signal(PATH, MANAGER, "PrepareForShutdown", "b", active)
            case _:
                pass
