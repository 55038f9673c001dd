"""A bus that a workload runs in the place of its user's systemd bus: it answers like systemd, and attacks.

    python -m eventd_simulators.hostile.bus SOCKET ATTACK [UNIT] [--size N] [--count N] [--rate N]

Listens at SOCKET (replacing it) until it is ended, serves one connection after the other, and prints a
line for each, and for each end. It speaks the protocol as dbus-daemon and systemd do, with the units as they should be,
except for the ATTACK (`attacks.ATTACKS`). Imports nothing but the standard library, and runs as any user.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eventd_simulators.hostile.dbus_bytes import (
    DESTINATION,
    ERROR,
    INTERFACE,
    MEMBER,
    NAME,
    PATH,
    REPLY_TO,
    RETURN,
    SENDER,
    SIGNAL,
    SIGNATURE,
    Call,
    Raw,
    message,
    pack,
    take,
)

DRIVER = "org.freedesktop.DBus"
SYSTEMD = "org.freedesktop.systemd1"
MANAGER = f"{SYSTEMD}.Manager"
UNIT = f"{SYSTEMD}.Unit"
PROPERTIES = f"{DRIVER}.Properties"
OWNER, OURS = ":1.1", ":1.7"
ROOT = "/org/freedesktop/systemd1"


def unit_path(name: str) -> str:
    """Return the object path of a unit (sd_bus_path_encode(3))."""
    return f"{ROOT}/unit/" + "".join(c if c.isalnum() else f"_{ord(c):02x}" for c in name)


@dataclass
class Peer:
    """One connection of the daemon, as systemd on a bus would serve it. Attacks override what it sends."""

    sock: socket.socket
    unit: str = "web.service"
    size: int = 4_000_000
    """Size of what is too large, in bytes."""
    count: int = 0
    """Count of what is too many; 0: endless."""
    rate: float = 0
    """Messages a second; 0: as many as possible."""
    active: str = "active"
    serial: int = 0
    reads: bool = True
    """Whether it keeps reading what the daemon sends."""
    asked: int = 0
    """Units that were read."""
    buffer: bytearray = field(default_factory=bytearray)
    pending: bytearray = field(default_factory=bytearray)
    """Answers that are not sent yet."""

    def send(self, data: bytes) -> None:
        """Send, taking in what the daemon sends meanwhile, as a bus does."""
        view = memoryview(data)
        while view:
            readable, writable, _ = select.select([self.sock] if self.reads else [], [self.sock], [])
            if writable:
                with contextlib.suppress(BlockingIOError):
                    view = view[self.sock.send(view) :]
            elif readable:
                self.pump()

    def pump(self) -> None:
        """Read what is there, and answer it."""
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        if not data:
            raise EOFError
        self.buffer += data
        while (call := take(self.buffer)) is not None:
            for answer in self.answer(call):
                self.pending += answer
        if self.pending:
            data, self.pending = bytes(self.pending), bytearray()
            self.send(data)

    def run(self) -> None:
        """Serve until the daemon leaves: what it asks is answered, and what is sent unasked comes in between."""
        self.sock.settimeout(None)
        self.greet()
        self.sock.settimeout(0)
        while not self.ready():
            select.select([self.sock], [], [])
            self.pump()
        began = time.monotonic()
        for sent, each in enumerate(self.unasked(), 1):
            self.send(each)
            if self.count and sent >= self.count:
                break
            if self.rate and (ahead := sent / self.rate - (time.monotonic() - began)) > 0.01:
                time.sleep(ahead)
        while True:
            select.select([self.sock] if self.reads else [], [], [])
            self.pump()

    def greet(self) -> None:
        """AUTH EXTERNAL (D-Bus specification, "Authentication Protocol")."""
        words = b""
        while not words.endswith(b"BEGIN\r\n"):
            data = self.sock.recv(1)
            if not data:
                raise EOFError
            words += data
            if data == b"\n" and b"AUTH EXTERNAL" in words and not words.endswith(b"BEGIN\r\n"):
                self.sock.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")

    def ready(self) -> bool:
        """Tell whether to start sending unasked messages: the daemon has read a unit."""
        return self.asked > 0

    def unasked(self) -> Iterator[bytes]:
        """Yield what nobody asked for."""
        return iter(())

    def answer(self, call: Call) -> Iterator[bytes]:
        """Yield the reply to a call, and what else comes with it."""
        match call.member:
            case "Hello":
                yield self.reply(call, "s", [OURS], sender=DRIVER)
            case "GetNameOwner":
                yield self.reply(call, "s", [OWNER], sender=DRIVER)
            case "AddMatch" | "RemoveMatch":
                yield self.reply(call, sender=DRIVER)
            case "LoadUnit":
                yield self.reply(call, "o", [unit_path(call.text())])
            case "GetAll":
                self.asked += call.text() == UNIT
                yield self.reply(call, "a{sv}", [self.properties(call.text())])
            case "ListUnits" | "ListUnitsByPatterns":
                yield self.reply(call, "a(ssssssouso)", [[]])
            case "StartUnit" | "StopUnit" | "RestartUnit" | "StartTransientUnit":
                yield from self.job(call)
            case _:
                yield self.reply(call)

    def job(self, call: Call) -> Iterator[bytes]:
        """Queue a job that ends at once."""
        self.serial += 1
        path = f"{ROOT}/job/{self.serial}"
        yield self.reply(call, "o", [path])
        yield self.signal("JobRemoved", "uoss", [self.serial, path, call.text(), "done"])

    def properties(self, interface: str) -> dict[str, Raw]:
        """Return what GetAll says of any unit."""
        if interface != UNIT:
            return {"Result": Raw("s", "success"), "MainPID": Raw("u", 77), "NRestarts": Raw("u", 0)}
        up = self.active == "active"
        return {
            "LoadState": Raw("s", "loaded"),
            "ActiveState": Raw("s", self.active),
            "SubState": Raw("s", "running" if up else "failed"),
            "Job": Raw("(uo)", [0, "/"]),
            "FragmentPath": Raw("s", f"/run/user/{os.getuid()}/systemd/generator/{self.unit}"),
            "SourcePath": Raw(
                "s",
                f"/etc/containers/systemd/users/{os.getuid()}/{self.unit.removesuffix('.service')}.container",
            ),
            "UnitFileState": Raw("s", "generated"),
            "NeedDaemonReload": Raw("b", 0),
            "InvocationID": Raw("ay", bytes(range(16))),
        }

    def reply(
        self,
        call: Call,
        signature: str = "",
        values: Any = (),
        *,
        sender: str = OWNER,
        body: bytes | None = None,
    ) -> bytes:
        """Return the reply to a call."""
        self.serial += 1
        fields = {REPLY_TO: call.serial, SENDER: sender, DESTINATION: OURS}
        if signature:
            fields[SIGNATURE] = signature
        return message(RETURN, self.serial, fields, pack(signature, values) if body is None else body)

    def error(self, call: Call, name: str, text: str) -> bytes:
        """Return an error for a call."""
        self.serial += 1
        fields = {NAME: name, REPLY_TO: call.serial, SENDER: OWNER, DESTINATION: OURS, SIGNATURE: "s"}
        return message(ERROR, self.serial, fields, pack("s", [text]))

    def signal(
        self,
        member: str,
        signature: str,
        values: Any,
        *,
        path: str = ROOT,
        interface: str = MANAGER,
        sender: str = OWNER,
    ) -> bytes:
        """Return a signal."""
        self.serial += 1
        fields = {PATH: path, INTERFACE: interface, MEMBER: member, SENDER: sender, SIGNATURE: signature}
        return message(SIGNAL, self.serial, fields, pack(signature, values))

    def changed(self, properties: dict[str, Raw], interface: str = UNIT, unit: str = "") -> bytes:
        """Return PropertiesChanged of a unit."""
        body = [interface, properties, []]
        return self.signal(
            "PropertiesChanged", "sa{sv}as", body, path=unit_path(unit or self.unit), interface=PROPERTIES
        )


def serve(path: str, peer: type[Peer], options: dict[str, Any]) -> None:
    """Listen at `path` and serve, one connection after the other."""
    listener = socket.socket(socket.AF_UNIX)
    fresh = f"{path}.{os.getpid()}"
    listener.bind(fresh)
    Path(fresh).chmod(0o600)
    listener.listen(8)
    Path(fresh).rename(path)  # in the place of whatever listens there
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    while True:
        sock, _ = listener.accept()
        sys.stdout.write("connected\n")
        sys.stdout.flush()
        try:
            peer(sock, **options).run()
        except (EOFError, OSError) as error:
            sys.stdout.write(f"ended {type(error).__name__}\n")
            sys.stdout.flush()
        finally:
            sock.close()


def main() -> None:
    """Serve from the command line."""
    from eventd_simulators.hostile.attacks import ATTACKS  # noqa: PLC0415 - which is made of what is here

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("socket")
    parser.add_argument("attack", choices=sorted(ATTACKS))
    parser.add_argument("unit", nargs="?", default="web.service")
    parser.add_argument("--size", type=int, default=4_000_000)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--rate", type=float, default=0)
    given = vars(parser.parse_args())
    serve(given.pop("socket"), ATTACKS[given.pop("attack")], given)


if __name__ == "__main__":
    main()
