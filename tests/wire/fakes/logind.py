"""A scripted logind: sessions, the shutdown announcement, and the linger flags in a folder of the test's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dbus_fast import Message, Variant

from eventd.platform.systemd.adapter_logind import LOGIND, MANAGER, PATH
from tests.wire.fakes.peer import Peer, failure

if TYPE_CHECKING:
    from pathlib import Path


class FakeLogind(Peer):
    """org.freedesktop.login1 with a dictionary of sessions: id -> (uid, user, class)."""

    def __init__(self, linger: Path, users: dict[int, str]) -> None:
        super().__init__(LOGIND, self._answer)
        self.sessions: dict[str, tuple[int, str, str]] = {}
        self.shutting_down = False
        self._linger = linger
        self._users = users

    def say(self, member: str, signature: str, body: list[object]) -> None:
        """Send a signal of the Manager interface."""
        self.signal(PATH, MANAGER, member, signature, body)

    def _answer(self, call: Message) -> Message | None:
        match call.member, call.body:
            case "ListSessions", _:
                rows = [[i, uid, user, "", self._path(i)] for i, (uid, user, _) in self.sessions.items()]
                return Message.new_method_return(call, "a(susso)", [rows])
            case "Get", [_, "Class"]:
                for identity, (_, _, kind) in self.sessions.items():
                    if call.path == self._path(identity):
                        return Message.new_method_return(call, "v", [Variant("s", kind)])
                return failure(call, "org.freedesktop.DBus.Error.UnknownObject", "no such session")
            case "Get", [_, "PreparingForShutdown"]:
                return Message.new_method_return(call, "v", [Variant("b", self.shutting_down)])
            case "SetUserLinger", [uid, enable, _]:
                if uid not in self._users:
                    return failure(call, "org.freedesktop.login1.NoSuchUser", f"User ID {uid} is not known")
                flag = self._linger / self._users[uid]
                if enable:
                    self._linger.mkdir(exist_ok=True)
                    flag.touch()
                else:
                    flag.unlink(missing_ok=True)
                return Message.new_method_return(call)
        return failure(call, "org.freedesktop.DBus.Error.UnknownMethod", f"no {call.member} here")

    @staticmethod
    def _path(identity: str) -> str:
        return f"{PATH}/session/_{ord(identity[0]):x}{identity[1:]}"
