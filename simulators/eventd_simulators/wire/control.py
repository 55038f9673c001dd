"""org.eventd.Simulator1 on the system bus: makes things happen to the host, on request.

For tests and the demo: somebody stops a unit by hand, a container crashes, an image vanishes, the host
reboots.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, Self

from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

from eventd.kernel.model.errors import DisconnectedError, EventdError
from eventd_simulators.model.behaviours import Behaviour
from eventd_simulators.model.manager import RefusedError
from eventd_simulators.model.service import Service as ServiceUnit
from eventd_simulators.wire.dbus_object import BusError, Row, Service, reply

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from eventd_simulators.model.manager import Manager
    from eventd_simulators.wire.server import WireHost

NAME: Final = "org.eventd.Simulator1"
PATH: Final = "/org/eventd/Simulator1"
CALL_TIMEOUT: Final = 30.0


class ControlService(Service):
    """The service. Scopes are user names, empty for the system."""

    def __init__(self, host: WireHost) -> None:
        super().__init__(NAME)
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        for member in ("StopUnit", "StartUnit", "CrashUnit", "SetImage", "SetUnit", "Login", "Logout"):
            self.methods[NAME, member] = self._call
        for member in ("Reboot", "RestartBus", "Reexecute", "PrepareForShutdown", "Status"):
            self.methods[NAME, member] = self._call

    def get_all(self, path: str, interface: str) -> Row | None:
        """Return nothing: it has no properties."""
        del interface
        return {} if path == PATH else None

    def _call(self, message: Message) -> Message | bool:
        try:
            return self._do(message)
        except RefusedError as error:
            raise BusError(f"{NAME}.{error.name}", str(error)) from error
        except (TypeError, ValueError) as error:
            raise BusError("org.freedesktop.DBus.Error.InvalidArgs", str(error)) from error

    def _do(self, message: Message) -> Message | bool:
        model, body = self._host.model, message.body
        match message.member:
            case "StopUnit":
                self._manager(body[0]).stop(body[1])
            case "StartUnit":
                self._manager(body[0]).start(body[1])
            case "CrashUnit":
                unit = self._manager(body[0]).units.get(body[1])
                if not isinstance(unit, ServiceUnit):
                    raise RefusedError("NoSuchUnit", f"Unit {body[1]} not loaded.")
                unit.exit(body[2])
            case "SetImage":
                model.behaviours.images[body[0]] = Behaviour(**json.loads(body[1]))
            case "SetUnit":
                model.behaviours.set(body[0], body[1], **json.loads(body[2]))
            case "Login":
                account = model.accounts.get(body[0])
                if account is None:
                    raise RefusedError("NoSuchUser", f"no account {body[0]}")
                return reply(message, "s", model.logind.login(account).id)
            case "Logout":
                model.logind.logout(body[0])
            case "RestartBus":
                model.restart_bus(body[0])
            case "Reexecute":
                self._manager(body[0]).reexecute()
            case "PrepareForShutdown":
                model.logind.prepare_for_shutdown(active=body[0])
            case "Status":
                return reply(message, "s", json.dumps(self._status()))
            case "Reboot":
                # Answered first: the bus of the answer does not survive it.
                self._later(self._host.reboot())
        return reply(message)

    def _manager(self, scope: str) -> Manager:
        manager = self._host.model.managers.get(scope) if scope else self._host.model.system
        if manager is None:
            raise RefusedError("NoSuchManager", f"the manager of {scope} is not up")
        return manager

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name="simulator control")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _status(self) -> dict[str, dict[str, str]]:
        model = self._host.model
        managers = {"": model.system, **model.managers}
        return {
            scope: {unit.name: f"{unit.active}/{unit.sub}" for unit in manager.units.values()}
            for scope, manager in managers.items()
        }


class Control:
    """A client: `async with Control(address) as control: await control.call("StopUnit", "ss", "web", …)`."""

    def __init__(self, address: str) -> None:
        self._bus = MessageBus(bus_address=address)

    async def __aenter__(self) -> Self:
        await self._bus.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._bus.disconnect()

    async def call(self, member: str, signature: str = "", *body: Any) -> Any:
        """Call a method; return its one answer, or None. Raises EventdError."""
        message = Message(
            destination=NAME, path=PATH, interface=NAME, member=member, signature=signature, body=list(body)
        )
        async with asyncio.timeout(CALL_TIMEOUT):
            answer = await self._bus.call(message)
        if answer is None:
            raise DisconnectedError("the simulator is gone")
        if answer.message_type is MessageType.ERROR:
            raise EventdError(f"{member}: {answer.body[0] if answer.body else answer.error_name}")
        return answer.body[0] if answer.body else None
