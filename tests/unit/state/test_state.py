"""Scope: the state file: each method of the store, and every way in which the file or its disk can be bad."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError
from eventd.kernel.model.events import Event, KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import Outcome, RunReport, RunResult, WorkloadReport
from eventd.state.adapter import StateStore
from eventd.state.adapter_database import VERSION, Database
from eventd.workloads.model_facts import WorkloadFact
from eventd.workloads.model_records import FileRecord, Ownership, UnitRecord, WorkloadRecord

WEB = WorkloadRecord(
    "web", 1001, Ownership.CREATED, 1, verified_digest="d", verified_commit="c", verified_at=2.5
)
TRIGGER = Event(7, KernelOrigin.REQUEST, KernelEvent.SYNC, "eventctl", 1.0, 2.0)
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a tmpfs, or needs another account")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[StateStore]:
    store = StateStore(Database(str(tmp_path / "state.db")))
    yield store
    store.close()


def again(tmp_path: Path) -> StateStore:
    """The same file in another life of the daemon."""
    return StateStore(Database(str(tmp_path / "state.db")), inline=True)


async def test_records_outlive_the_process(store: StateStore, tmp_path: Path) -> None:
    """What was put is what the next life loads, field for field; None deletes."""
    await store.put_workload(WEB)
    await store.put_unit("web", "web.service", UnitRecord("u", 1))
    await store.put_unit("web", "gone.service", UnitRecord("u", 1))
    await store.put_unit("web", "gone.service", None)
    await store.put_file("web", "/f", FileRecord("f1", 1))
    await store.put_file("web", "/f", FileRecord("f2", 2))
    await store.put_file("web", "/g", FileRecord("g", 2))
    await store.put_file("web", "/g", None)
    other = again(tmp_path)
    records = await other.load()
    other.close()
    assert records.workloads == {"web": WEB}
    assert records.units == {"web": {"web.service": UnitRecord("u", 1)}}
    assert records.files == {"web": {"/f": FileRecord("f2", 2)}}


async def test_a_report_is_kept_as_it_is_shown(store: StateStore) -> None:
    """Every field of a report goes through JSON, those for this life only excepted."""
    run = await store.begin_run(1.0, "c0", "request:sync:eventctl")
    row = WorkloadReport(
        "web", Outcome.FAILED, "r", log=("line",), wakes_on=frozenset({FactKey(WorkloadFact.MANAGER, "web")})
    )
    await store.end_run(RunReport(run, 1.0, "c1", (TRIGGER,), 2.0, RunResult.FAILED, (row,), "error", 3))
    (text,) = await store.runs(10)
    shown = json.loads(text)
    assert (shown["id"], shown["commit"], shown["result"], shown["joined"]) == (run, "c1", "failed", 3)
    assert shown["workloads"][0]["result"] == "failed"
    assert shown["workloads"][0]["log"] == ["line"]
    trigger = {"origin": "request", "kind": "sync", "subject": "eventctl", "scope": "", "sequence": 7}
    assert shown["triggers"] == [trigger]


async def test_what_a_crash_left_open_is_told_and_closed(store: StateStore, tmp_path: Path) -> None:
    """Open steps come back oldest first, once; the run of a crash has what is known of it."""
    run = await store.begin_run(1.0, "c", "inotify:file-changed:/a b request:sync:eventctl")
    first = await store.begin_step(run, "web", "create-account", "web")
    await store.begin_step(run, "web", "put-file", "/f", '{"path": "/f"}')
    await store.begin_step(run, "web", "put-file", "/g")
    await store.end_step(first, "done")
    other = again(tmp_path)
    left = await other.open_steps()
    assert [(s.run, s.verb, s.target, s.known()) for s in left] == [
        (run, "put-file", "/f", {"path": "/f"}),
        (run, "put-file", "/g", {}),
    ]
    for step in left:
        await other.end_step(step.id, "resumed", "it is there")
    assert await other.close_runs() == [run]
    assert await other.open_steps() == []
    assert await other.close_runs() == []
    shown = json.loads((await other.runs(1))[0])
    other.close()
    assert shown["result"] == "interrupted"
    assert [(s["verb"], s["target"], s["ended"], s["note"]) for s in shown["recovered"]] == [
        ("put-file", "/f", "resumed", "it is there"),
        ("put-file", "/g", "resumed", "it is there"),
    ]
    assert shown["triggers"]
    assert all(t.keys() == {"origin", "kind", "subject", "sequence"} for t in shown["triggers"])


async def test_run_numbers_are_never_used_twice(store: StateStore, tmp_path: Path) -> None:
    """Also not after old runs have gone, nor in the next life; newest first."""
    numbers = [await store.begin_run(1.0, "", "") for _ in range(3)]
    other = again(tmp_path)
    numbers.append(await other.begin_run(1.0, "", ""))
    assert numbers == sorted(set(numbers))
    assert [json.loads(t)["id"] for t in await other.runs(2)] == numbers[:-3:-1]
    other.close()


async def test_old_runs_go_and_open_steps_stay() -> None:
    """The history is bounded, and no intent without a result is ever thrown away."""
    store = StateStore(Database(":memory:"), inline=True)
    first = await store.begin_run(1.0, "", "")
    await store.begin_step(first, "web", "create-account", "web")
    done = await store.begin_step(await store.begin_run(1.0, "", ""), "web", "x", "y")
    await store.end_step(done, "done")
    for _ in range(600):
        await store.begin_run(1.0, "", "")
    assert len(await store.runs(1000)) < 560
    assert [s.verb for s in await store.open_steps()] == ["create-account"]
    store.close()


async def test_a_cancelled_write_is_still_in_order(store: StateStore) -> None:
    """Who is cut off while writing leaves no statement behind that a later one could overtake."""
    task = asyncio.create_task(store.put_unit("web", "web.service", UnitRecord("old", 1)))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.put_unit("web", "web.service", UnitRecord("new", 2))
    assert (await store.load()).units["web"]["web.service"].digest == "new"


@pytest.mark.parametrize("damage", [b"not a database at all, but long enough to be looked at" * 40, None])
def test_a_damaged_file_is_noticed(tmp_path: Path, damage: bytes | None) -> None:
    """Foreign bytes, or pages overwritten in the middle: "state-damaged", and nothing else is."""
    path = tmp_path / "state.db"
    if damage is None:
        store = StateStore(Database(str(path)), inline=True)

        async def fill() -> None:
            for number in range(200):
                await store.put_file("web", f"/{number}", FileRecord("x" * 100, 1))

        asyncio.run(fill())
        store.close()
        content = bytearray(path.read_bytes())
        content[8192:20480] = b"\xa5" * 12288
        path.write_bytes(content)
    else:
        path.write_bytes(damage)
    with pytest.raises(PermanentError) as error:
        Database(str(path))
    assert error.value.reason == "state-damaged"


def test_the_file_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    """A downgrade is refused, with what to do."""
    path = tmp_path / "state.db"
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={VERSION + 1}")
    db.close()
    before = path.read_bytes()
    with pytest.raises(PermanentError) as error:
        Database(str(path))
    assert error.value.reason == "state-too-new"
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_no_damage(tmp_path: Path) -> None:
    """Nothing would be set aside for it."""
    with pytest.raises(PermanentError) as error:
        Database(str(tmp_path / "no" / "state.db"))
    assert error.value.reason == "state-unusable"


def test_only_the_daemon_may_read_it(tmp_path: Path) -> None:
    """Mode 0600."""
    Database(str(tmp_path / "state.db")).close()
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


def in_a_small_place(tmp_path: Path, code: str) -> str:
    """Run `code` in a mount namespace with a tmpfs of 2 MiB at `small`; return what it prints."""
    script = 'mount -t tmpfs -o size=2m none "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


IMPORTS = """
import asyncio, os, subprocess, sys
from eventd.state.adapter import StateStore
from eventd.state.adapter_database import Database
from eventd.kernel.model.errors import EventdError
from eventd.workloads.model_records import FileRecord
path = sys.argv[1] + "/state.db"
"""


@root_only
def test_a_full_disk_is_an_error_and_no_corruption(tmp_path: Path) -> None:
    """Writes fail with "disk-full" until there is room again; what was acknowledged is all there."""
    code = (
        IMPORTS
        + """
async def main():
    store, kept, reason = StateStore(Database(path), inline=True), 0, ""
    try:
        while True:
            await store.put_file("web", f"/{kept}", FileRecord("x" * 500, 1))
            kept += 1
    except EventdError as error:
        reason = error.reason
    store.close()
    again = StateStore(Database(path), inline=True)
    found = len((await again.load()).files["web"])
    print(reason, kept > 50, found == kept)
asyncio.run(main())
"""
    )
    assert in_a_small_place(tmp_path, code) == "disk-full True True"


@root_only
def test_a_new_file_on_a_full_disk_is_no_damage(tmp_path: Path) -> None:
    """There is not even room for the schema."""
    code = (
        IMPORTS
        + """
with open(sys.argv[1] + "/filler", "wb", buffering=0) as file:
    try:
        while True:
            file.write(b"x" * 4096)
    except OSError:
        pass
try:
    Database(path)
except EventdError as error:
    print(error.reason)
"""
    )
    assert in_a_small_place(tmp_path, code) in ("disk-full", "state-error", "state-unusable")


@root_only
def test_a_read_only_disk_is_no_damage(tmp_path: Path) -> None:
    """The records stay what they are."""
    code = (
        IMPORTS
        + """
db = Database(path)
db.close()
subprocess.run(["mount", "-o", "remount,ro", sys.argv[1]], check=True)
try:
    store = StateStore(Database(path), inline=True)
    asyncio.run(store.put_file("web", "/f", FileRecord("x", 1)))
except EventdError as error:
    print(error.reason)
"""
    )
    assert in_a_small_place(tmp_path, code) == "state-unusable"


KILLED = (
    IMPORTS
    + """
async def main():
    store = StateStore(Database(path))
    run = await store.begin_run(1.0, "c", "")
    await store.begin_step(run, "web", "create-account", "web")
    print("ready", flush=True)
    number = 0
    while True:
        number += 1
        await store.put_file("web", f"/{number}", FileRecord("x", run))
        print(number, flush=True)
asyncio.run(main())
"""
)


@pytest.fixture
def killed(tmp_path: Path) -> int:
    """A process that writes for a while and is killed with SIGKILL; the last number it said was written."""
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        said = process.stdout.read().split()
    return int(said[-1]) if said else 20


async def test_kill_9_between_intent_and_result(killed: int, tmp_path: Path) -> None:
    """The intent is there without a result, and everything that was acknowledged is there too."""
    store = again(tmp_path)
    assert [s.verb for s in await store.open_steps()] == ["create-account"]
    records = await store.load()
    store.close()
    assert len(records.files["web"]) >= killed


def test_errors_are_of_the_known_kinds(tmp_path: Path) -> None:
    """A locked file may pass by itself, a folder in its place does not."""
    path = tmp_path / "state.db"
    path.mkdir()
    with pytest.raises(EventdError) as error:
        Database(str(path))
    assert not isinstance(error.value, TemporaryError)
