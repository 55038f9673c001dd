"""Records what a systemd manager says while it is told to do things, on the real host and the simulated one.

Stands alone (it is copied into a host) but for dbus-fast. Reads a scenario from its standard input, one
JSON list of steps, and prints the trace: a JSON list with the lines of each step. Usage: `recorder.py
ADDRESS FOLDER`.

    ["job", "StartUnit", "web.service"]         give the job, wait for its end
    ["reload"], ["reset", "web.service"]
    ["until", "web.service", "failed/failed"]   wait until this was told, since the step before began
    ["settle", 1.5]                             wait until no signal has come for so many seconds
    ["show", "web.service"]                     a few properties
    ["write", "new.container", "web.container"], ["touch", NAME], ["remove", NAME]   in the folder

Each time that a unit is told to run, a file of its name is made in the folder's `go`: a container that waits
for it ends after systemd knows that it runs, however slow the machine is.
"""

import asyncio
import json
import os
import pathlib
import re
import sys
import time

import dbus_fast.aio  # noqa: F401
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus

SYSTEMD = "org.freedesktop.systemd1"
PATH = "/org/freedesktop/systemd1"
MANAGER = f"{SYSTEMD}.Manager"
SHOWN = ("LoadState", "ActiveState", "SubState", "UnitFileState", "NeedDaemonReload")
SHOWN_SERVICE = ("Result", "NRestarts", "ExecMainStatus", "Type")
LONGEST = 150.0


class Recorder:
    """One connection, one trace."""

    def __init__(self, bus, folder):
        self.bus = bus
        self.folder = pathlib.Path(folder)
        self.lines = []
        self.states = {}
        self.held = {}
        self.removed = {}
        self.said = []
        self.news = asyncio.Event()
        self.at = time.monotonic()
        self.times = []
        bus.add_message_handler(self.on_message)

    async def call(self, member, signature="", *body, path=PATH, interface=MANAGER):
        answer = await self.bus.call(
            Message(
                destination=SYSTEMD,
                path=path,
                interface=interface,
                member=member,
                signature=signature,
                body=list(body),
            )
        )
        if answer.message_type is MessageType.ERROR:
            return answer.error_name
        return answer.body

    async def listen(self):
        for rule in (f"type='signal',sender='{SYSTEMD}'",):
            await self.bus.call(
                Message(
                    destination="org.freedesktop.DBus",
                    path="/org/freedesktop/DBus",
                    interface="org.freedesktop.DBus",
                    member="AddMatch",
                    signature="s",
                    body=[rule],
                )
            )
        await self.call("Subscribe")

    def on_message(self, message):
        if message.message_type is not MessageType.SIGNAL:
            return
        body = message.body
        match message.member:
            case "PropertiesChanged" if "/unit/" in message.path:
                self.changed(name_of(message.path), body[1])
            case "JobNew":
                self.say(body[2], "job-new")
            case "JobRemoved":
                self.removed[body[1]] = body[3]
                self.say(body[2], f"job-removed {body[3]}")
            case "UnitNew" | "UnitRemoved":
                self.say(body[0], message.member)
            case "Reloading":
                self.say("", f"Reloading {body[0]}")

    def changed(self, unit, properties):
        held = self.held.setdefault(unit, {})
        held.update({key: value.value for key, value in properties.items()})
        if "ActiveState" not in held:
            return  # of the type: the unit's own properties follow
        state = f"{held['ActiveState']}/{held['SubState']}"
        if "Result" in held:
            state += f" {held['Result']}"
        if self.states.get(unit) != state:
            self.states[unit] = state
            self.say(unit, state)
            if state.startswith("active/running") and (self.folder / "go").is_dir():
                (self.folder / "go" / unit).touch()

    def say(self, unit, what):
        self.lines.append(f"{unit}: {what}")
        self.said.append(f"{unit}: {what} ")
        self.times.append(round(time.monotonic() - self.at, 3))
        self.news.set()

    async def job(self, member, unit):
        answer = await self.call(member, "ss", unit, "replace")
        if isinstance(answer, str):
            self.say(unit, f"refused {answer}")
            return
        deadline = time.monotonic() + LONGEST
        while answer[0] not in self.removed:
            self.news.clear()
            async with asyncio.timeout(deadline - time.monotonic()):
                await self.news.wait()

    async def until(self, unit, what):
        async with asyncio.timeout(LONGEST):
            while not any(line.startswith(f"{unit}: {what} ") for line in self.said):
                self.news.clear()
                await self.news.wait()

    async def settle(self, seconds):
        deadline = time.monotonic() + LONGEST
        while time.monotonic() < deadline:
            self.news.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self.news.wait()
            except TimeoutError:
                return

    async def show(self, unit):
        path = (await self.call("LoadUnit", "s", unit))[0]
        everything = {}
        for interface in (f"{SYSTEMD}.Unit", f"{SYSTEMD}.{unit.rsplit('.', 1)[-1].capitalize()}"):
            body = await self.call(
                "GetAll", "s", interface, path=path, interface="org.freedesktop.DBus.Properties"
            )
            if not isinstance(body, str):
                everything.update({key: value.value for key, value in body[0].items()})
        self.states[unit] = " ".join(
            (f"{everything['ActiveState']}/{everything['SubState']}", str(everything.get("Result", "")))
        ).strip()
        shown = {key: everything.get(key) for key in (*SHOWN, *SHOWN_SERVICE)}
        shown["invoked"] = bool(bytes(everything.get("InvocationID", b"")).strip(b"\0"))
        self.say(unit, json.dumps(shown, sort_keys=True))

    async def step(self, step):
        if step[0] != "until":
            self.said = []
        match step:
            case ["job", member, unit]:
                await self.job(member, unit)
            case ["reload"]:
                await self.call("Reload")
            case ["reset", unit]:
                await self.call("ResetFailedUnit", "s", unit)
            case ["until", unit, what]:
                await self.until(unit, what)
            case ["settle", seconds]:
                await self.settle(seconds)
            case ["show", unit]:
                await self.show(unit)
            case ["write", new, old]:
                (self.folder / new).write_bytes((self.folder / old).read_bytes())
            case ["touch", name]:
                os.utime(self.folder / name)
            case ["remove", name]:
                (self.folder / name).unlink()


def name_of(path):
    """Return the unit at an object path."""
    element = path.rsplit("/", 1)[-1]
    return re.sub("_([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), element)


async def record(address, folder, steps):
    """Return the trace of a scenario: for each step its lines, and the seconds since its begin for each."""
    bus = MessageBus(bus_address=address)
    await bus.connect()
    recorder = Recorder(bus, folder)
    await recorder.listen()
    trace = []
    for step in steps:
        recorder.lines, recorder.times, recorder.at = [], [], time.monotonic()
        await recorder.step(step)
        trace.append({"step": step, "lines": recorder.lines, "times": recorder.times})
    bus.disconnect()
    return trace


if __name__ == "__main__":
    print(json.dumps(asyncio.run(record(sys.argv[1], sys.argv[2], json.load(sys.stdin)))))  # noqa: T201
