"""logind over a bus: a thin, stateless wrapper of org.freedesktop.login1(5).

`eventd.platform.systemd.source_logind` keeps the facts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import EventdError
from eventd.platform.dbus.connection import CALL_TIMEOUT, DBUS, DBUS_PATH, PROPERTIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventd.platform.dbus.connection import Bus

LOGIND = "org.freedesktop.login1"
PATH = "/org/freedesktop/login1"
MANAGER = "org.freedesktop.login1.Manager"
SESSION = "org.freedesktop.login1.Session"
MATCH = f"type='signal',sender='{LOGIND}',path='{PATH}',interface='{MANAGER}'"

PERSONAL = frozenset({"user", "user-early", "user-incomplete", "user-light", "user-early-light"})
"""Classes of sessions that belong to a person (pam_systemd(8)); not `manager`, `background` (cron), `greeter`, …"""


@dataclass(frozen=True, slots=True)
class Session:
    """A row of ListSessions with the session's class."""

    id: str
    uid: int
    user: str
    kind: str
    """`Class`; see `PERSONAL`."""


class Logind:
    """logind over one connection."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def attach(self, changed: Callable[[str], None] | None = None) -> None:
        """Request logind's signals, and follow the owner of its name."""
        await self._bus.track(LOGIND, changed)
        await self._bus.add_match(MATCH)

    async def activate(self, *, timeout: float = CALL_TIMEOUT) -> None:
        """Have the bus start logind if it is not running (StartServiceByName)."""
        await self._bus.call(
            DBUS, DBUS_PATH, DBUS, "StartServiceByName", "su", [LOGIND, 0], reply="u", timeout=timeout
        )

    async def sessions(self) -> list[Session]:
        """Return all sessions with their classes.

        ListSessionsEx has the class, but exists only since systemd 256. So this calls ListSessions, and Get per
        session.
        """
        rows = (await self._bus.call(LOGIND, PATH, MANAGER, "ListSessions", reply="a(susso)"))[0]
        found: list[Session] = []
        for identity, uid, user, _seat, path in rows:
            try:
                kind = (
                    await self._bus.call(LOGIND, path, PROPERTIES, "Get", "ss", [SESSION, "Class"], reply="v")
                )[0]
            except EventdError as error:
                if error.reason in ("unknown-object", "no-such-session"):
                    continue  # it has ended, and SessionRemoved will follow
                raise
            found.append(Session(identity, int(uid), user, kind))
        return found

    async def preparing_for_shutdown(self, *, apply: Callable[[bool], None]) -> None:
        """Call `apply` with whether a shutdown was announced (`PreparingForShutdown`), in order as in `Bus.call`."""
        await self._bus.call(
            LOGIND,
            PATH,
            PROPERTIES,
            "Get",
            "ss",
            [MANAGER, "PreparingForShutdown"],
            reply="v",
            apply=lambda body: apply(bool(body[0])),
        )

    async def set_linger(self, uid: int, *, enable: bool, timeout: float = CALL_TIMEOUT) -> None:
        """Switch lingering on or off (SetUserLinger), without interactive authorization.

        logind also starts the user's manager when lingering is switched on, and stops it when it is switched off and
        the user is not logged in. Raises PermanentError(reason="access-denied" | "no-such-user").
        """
        await self._bus.call(
            LOGIND, PATH, MANAGER, "SetUserLinger", "ubb", [uid, enable, False], timeout=timeout
        )
