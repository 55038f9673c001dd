"""The part of the benchmark that runs in the host: the clock, the triggers, and the floor.

Owns every time that is compared: all are CLOCK_MONOTONIC seconds of one kernel, the clock of systemd's timestamps.
It must not import eventd: the floor is the same work in the most direct way there is, one warmed-up process that
makes the system calls and D-Bus calls itself. Speaks JSON lines on its standard streams with `benchmarks.host`.
"""

# ruff: noqa: ASYNC240  the files are in /proc

import asyncio
import contextlib
import json
import os
import pwd
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from dbus_fast.auth import AuthExternal

SYSTEMD = "org.freedesktop.systemd1"
MANAGER = "org.freedesktop.systemd1.Manager"
ROOT = "/org/freedesktop/systemd1"
QUADLETS = Path("/etc/containers/systemd/users")
DEADLINE = 60.0
Answer = dict[str, Any]


def now() -> float:
    """CLOCK_MONOTONIC in seconds."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Bus:
    """A bus and what the floor asks of the systemd manager on it."""

    def __init__(self, bus: MessageBus) -> None:
        self._bus = bus
        self._jobs: dict[str, asyncio.Future[str]] = {}
        self._ended: dict[str, str] = {}

    @classmethod
    async def system(cls) -> "Bus":
        return await cls(await MessageBus(bus_type=BusType.SYSTEM).connect()).subscribed()

    @classmethod
    async def of_user(cls, uid: int) -> "Bus":
        """Connect with the user's effective uid, for the bus refuses root: what it sees is who called connect(2)."""
        bus = MessageBus(bus_address=f"unix:path=/run/user/{uid}/bus", auth=AuthExternal(uid))
        os.seteuid(uid)
        try:
            # Eager: runs up to its first wait, which comes after connect(2).
            loop = asyncio.get_running_loop()
            connecting = asyncio.Task(bus.connect(), loop=loop, eager_start=True)  # type: ignore[call-arg,unused-ignore]
        finally:
            os.seteuid(0)
        await connecting
        return await cls(bus).subscribed()

    async def subscribed(self) -> "Bus":
        self._bus.add_message_handler(self._on_message)
        rule = f"type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='JobRemoved'"
        bus = "org.freedesktop.DBus"
        await self.call("AddMatch", "s", [rule], to=bus, path="/org/freedesktop/DBus", interface=bus)
        await self.call("Subscribe")
        return self

    def _on_message(self, message: Message) -> None:
        if message.member == "JobRemoved" and message.message_type is MessageType.SIGNAL:
            path, result = message.body[1], message.body[3]
            waiting = self._jobs.pop(path, None)
            if waiting is None:
                self._ended[path] = result
            else:
                waiting.set_result(result)

    async def call(
        self,
        member: str,
        signature: str = "",
        body: Iterable[Any] = (),
        *,
        to: str = SYSTEMD,
        path: str = ROOT,
        interface: str = MANAGER,
    ) -> list[Any]:
        message = Message(to, path, interface, member, signature=signature, body=list(body))
        reply = await self._bus.call(message)
        assert reply is not None
        if reply.message_type is MessageType.ERROR:
            raise RuntimeError(f"{member} {body}: {reply.error_name} {reply.body}")
        return list(reply.body)

    async def job(self, verb: str, unit: str) -> None:
        """Make a job and await its end."""
        (path,) = await self.call(verb, "ss", [unit, "replace"])
        result = self._ended.pop(path, None)
        if result is None:
            waiting = self._jobs[path] = asyncio.get_running_loop().create_future()
            result = await asyncio.wait_for(waiting, DEADLINE)
        if result != "done":
            raise RuntimeError(f"{verb} {unit}: {result}")

    async def entered(self, unit: str) -> float:
        """Return when the unit last became active, 0.0 if it is not."""
        (path,) = await self.call("LoadUnit", "s", [unit])
        found: Answer = {}
        for name in ("ActiveEnterTimestampMonotonic", "ActiveState"):
            properties = "org.freedesktop.DBus.Properties"
            body = [f"{SYSTEMD}.Unit", name]
            found[name] = (await self.call("Get", "ss", body, path=path, interface=properties))[0].value
        return found["ActiveEnterTimestampMonotonic"] / 1e6 if found["ActiveState"] == "active" else 0.0

    def close(self) -> None:
        self._bus.disconnect()


@contextlib.contextmanager
def frozen(pid: int) -> Any:
    """Stop eventd for as long as the floor is measured: it would look at what happens, and cost time."""
    os.kill(pid, 19)
    try:
        yield
    finally:
        os.kill(pid, 18)


class Inside:
    """The operations; each takes and returns JSON."""

    def __init__(self) -> None:
        self.users: dict[str, Bus] = {}
        self.bus: Bus
        self._uevents: socket.socket | None = None

    async def clocks(self) -> Answer:
        """Return both clocks at one moment, to bring eventd's wall times onto ours."""
        return {"monotonic": now(), "wall": time.time()}

    async def push(self, work: str, target: str) -> Answer:
        """Run `git push`."""
        began = now()
        argv = ["git", "-C", work, "push", "-qf", "origin", f"HEAD:{target}"]
        subprocess.run(argv, check=True, capture_output=True, timeout=DEADLINE)  # noqa: ASYNC221  nothing else is on
        return {"began": began, "ended": now()}

    async def eventctl_sync(self) -> Answer:
        """Run `eventctl sync --wait`, as a person would."""
        began = now()
        process = await asyncio.create_subprocess_exec(
            "eventctl", "sync", "--wait", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        status = await asyncio.wait_for(process.wait(), DEADLINE)
        return {"began": began, "ended": now(), "status": status}

    async def api_sync(self, fetch: bool) -> Answer:  # noqa: FBT001
        """POST /v1/sync and read the stream to its end."""
        began = now()
        body = json.dumps({"wait": True, "fetch": fetch})
        lines = await self._http("POST", "/v1/sync", body)
        ended = now()
        return {"began": began, "ended": ended, "run": json.loads(lines[-1])["run"]}

    async def get(self, path: str) -> Answer:
        """GET a JSON document of eventd."""
        (line,) = await self._http("GET", path)
        document: Answer = json.loads(line)
        return document

    async def events(self, since: int) -> list[Answer]:
        """Return the events that eventd keeps after a sequence number."""
        lines = await self._http("GET", f"/v1/events?since={since}")
        return [json.loads(line) for line in lines if line]

    async def spent(self, pid: int) -> Answer:
        """Return the CPU seconds of a process, and of its children that have ended (proc_pid_stat(5))."""
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = [int(value) / os.sysconf("SC_CLK_TCK") for value in fields[11:15]]
        return {"own": ticks[0] + ticks[1], "children": ticks[2] + ticks[3]}

    async def switches(self, pid: int) -> Answer:
        """Return how often each thread of a process went to sleep by itself, and was woken up therefore."""
        found: Answer = {}
        for task in Path(f"/proc/{pid}/task").iterdir():
            status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            found[task.name] = {
                "name": status["Name"].strip(),
                "voluntary": int(status["voluntary_ctxt_switches"]),
            }
        return found

    async def uevents(self) -> int:
        """Return how many of udev's messages came to this network namespace since the last call (udev(7)).

        Each wakes whoever listens. They are about the kernel's devices, which other hosts on it share.
        """
        if self._uevents is None:
            self._uevents = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)  # NETLINK_KOBJECT_UEVENT
            self._uevents.setblocking(False)  # noqa: FBT003  the signature of socket
            self._uevents.setsockopt(
                socket.SOL_SOCKET, 33, 1 << 24
            )  # SO_RCVBUFFORCE: a booting host is hundreds
            self._uevents.bind((0, 2))  # what udev has processed
        count = 0
        with contextlib.suppress(BlockingIOError):
            while self._uevents.recv(1 << 16):
                count += 1
        return count

    async def memory(self, pid: int) -> Answer:
        """Return /proc/PID/smaps_rollup in bytes (proc_pid_smaps(5))."""
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
        return {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}

    @staticmethod
    async def _http(method: str, path: str, body: str = "") -> list[bytes]:
        """Speak HTTP/1.0 on the operators' socket, so that the answer ends with the connection."""
        reader, writer = await asyncio.open_unix_connection("/run/eventd/eventd.sock", limit=1 << 24)
        head = f"{method} {path} HTTP/1.0\r\nHost: eventd\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        answer = await asyncio.wait_for(reader.read(), DEADLINE)
        writer.close()
        return answer.partition(b"\r\n\r\n")[2].strip().split(b"\n")

    async def settled(self, commit: str) -> Answer:
        """Wait until eventd has no work left at a commit; return the run that first dealt with it.

        What is looked at five times a second is only whether it is over; when, is in the answers.
        """
        until = now() + DEADLINE
        while now() < until:
            status = await self.get("/v1/status")
            moving = any(w["state"] in ("pending", "applying", "verifying") for w in status["workloads"])
            if status["commit"] == commit and status["run"] is None and not moving:
                runs = (await self.get("/v1/runs?limit=20"))["runs"]
                mine = [run for run in runs if run["commit"] == commit and run["ended"]]
                if mine:
                    return {"run": mine[-1], "runs": len(mine), "state": status["state"]}
            await asyncio.sleep(0.2)
        raise TimeoutError(f"eventd does not come to rest at {commit}")

    async def entered(self, units: Mapping[str, str]) -> Answer:
        """Return for each user when its unit became active."""
        found: Answer = {}
        for user, unit in units.items():
            bus = await Bus.of_user(pwd.getpwnam(user).pw_uid)
            found[user] = await bus.entered(unit)
            bus.close()
        return found

    async def floor_new(
        self, pid: int, users: Iterable[str], files: Mapping[str, str], at_once: int
    ) -> Answer:
        """Bring up new users with the unit `app.service`, side by side."""
        names = list(users)
        # useradd locks the databases, and sleeps a second when it finds them locked: one at a time.
        lock, limit = asyncio.Lock(), asyncio.Semaphore(at_once)
        marks: dict[str, dict[str, float]] = {name: {} for name in names}

        async def one(name: str) -> None:
            mark = marks[name]
            async with limit:
                async with lock:
                    mark["began"] = now()
                    process = await asyncio.create_subprocess_exec(
                        "useradd", "--create-home", "--user-group", "--shell", "/usr/sbin/nologin", name
                    )
                    assert await asyncio.wait_for(process.wait(), DEADLINE) == 0
                mark["account"] = now()
                uid = pwd.getpwnam(name).pw_uid
                self._write(uid, files)
                mark["files"] = now()
                login = "org.freedesktop.login1"
                path, manager = "/org/freedesktop/login1", f"{login}.Manager"
                await self.bus.call(
                    "SetUserLinger", "ubb", [uid, True, False], to=login, path=path, interface=manager
                )
                mark["linger"] = now()
                await self.bus.job("StartUnit", f"user@{uid}.service")
                mark["manager"] = now()
                self.users[name] = user = await Bus.of_user(uid)
                mark["bus"] = now()
                await user.job("StartUnit", "app.service")
                mark["unit"] = now()

        with frozen(pid):
            began = now()
            await asyncio.gather(*(one(name) for name in names))
            entered = [await self.users[name].entered("app.service") for name in names]
        return {"began": began, "entered": entered, "marks": marks}

    async def floor_change(self, pid: int, user: str, files: Mapping[str, str]) -> Answer:
        """Write the files, reload, restart: over a connection that is there already, as eventd has one."""
        bus, uid = self.users[user], pwd.getpwnam(user).pw_uid
        with frozen(pid):
            began = now()
            self._write(uid, files)
            written = now()
            await bus.call("Reload")
            reloaded = now()
            await bus.job("RestartUnit", "app.service")
            restarted = now()
            entered = await bus.entered("app.service")
        return {
            "began": began,
            "entered": [entered],
            "marks": {user: {"files": written, "reload": reloaded, "unit": restarted}},
        }

    @staticmethod
    def _write(uid: int, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = QUADLETS / str(uid) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    async def steps(self, run: int) -> list[list[Any]]:
        """Return the journalled steps of a run: workload, verb, target, began, ended (monotonic)."""
        offset = time.time() - now()
        with contextlib.closing(sqlite3.connect("file:/var/lib/eventd/state.db?mode=ro", uri=True)) as db:
            rows = db.execute(
                "SELECT workload, verb, target, began, ended FROM steps WHERE run = ? ORDER BY id", (run,)
            ).fetchall()
        return [[w, verb, target, began - offset, ended - offset] for w, verb, target, began, ended in rows]


async def lines() -> AsyncIterator[str]:
    reader = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        yield line.decode()


async def main() -> None:
    """Answer requests until the standard input ends."""
    inside = Inside()
    inside.bus = await Bus.system()
    print("ready", flush=True)
    async for line in lines():
        number, name, arguments = json.loads(line)
        operation: Callable[..., Coroutine[Any, Any, Any]] = getattr(inside, name)
        try:
            answer: Any = {"answer": await operation(**arguments)}
        except Exception as error:  # noqa: BLE001 - goes to the other side
            answer = {"error": f"{name}: {type(error).__name__}: {error}"}
        print(f"{number} {json.dumps(answer)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
