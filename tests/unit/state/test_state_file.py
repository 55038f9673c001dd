"""Scope: a state file that is damaged, empty, gone, or of a newer version; and the marks that outlive it."""

# ruff: noqa: ASYNC240  a few small files, in a loop that has nothing else to do

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.state.adapter import StateStore
from eventd.state.adapter_database import Database
from eventd.state.adapter_file import condemn, open_store
from eventd.state.adapter_markers import OwnershipMarkers
from eventd.workloads.model_records import LOSSES, Ownership, WorkloadRecord

WEB = WorkloadRecord(
    "web", 1001, Ownership.CREATED, 7, verified_digest="d", verified_commit="c", lingering=True
)


def store(tmp_path: Path) -> StateStore:
    return open_store(str(tmp_path / "state.db"), wall=lambda: 1_000_000_000.0)


async def filled(tmp_path: Path) -> Path:
    """A state file with a workload and 200 files, closed in good order."""
    opened = store(tmp_path)
    await opened.put_workload(WEB)
    rows = [("INSERT INTO files VALUES (?,?,?,?)", ("web", f"/{n}", "x" * 100, 1)) for n in range(200)]
    opened._db.write_all(rows)
    opened.close()
    return tmp_path / "state.db"


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database at all, but long enough to be looked at" * 40)


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def gone(path: Path) -> None:
    path.unlink()


def flipped(path: Path) -> None:
    """One byte of a page's header."""
    content = bytearray(path.read_bytes())
    content[3 * 4096] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [garbage, truncated, empty, gone, flipped])
async def test_a_damaged_file_is_set_aside_and_said(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """Another is begun, the loss is written in it, and what was there is kept byte for byte."""
    path = await filled(tmp_path)
    damage(path)
    before = path.read_bytes() if path.exists() else b""
    opened = store(tmp_path)
    (text,) = (await opened.documents(LOSSES)).values()
    loss = json.loads(text)
    assert (await opened.load()).workloads == {}
    assert await opened.markers() == {"web": WEB}
    assert loss["why"]
    assert loss["acknowledged"] is False
    assert await opened.begin_run(1.0, "", "") == 100_001
    if damage not in (empty, gone):
        assert loss["kept"] == f"{path}.damaged-20010909T014640Z"
        assert Path(loss["kept"]).read_bytes() == before
    assert not Path(f"{path}.condemned").exists()
    opened.close()
    again = store(tmp_path)
    assert len(await again.documents(LOSSES)) == 1
    again.close()


async def test_a_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    """Anywhere: what opens has a uid that the mark has too, or none; nothing else comes out of it."""
    path = await filled(tmp_path)
    whole = path.read_bytes()
    for at in range(16, len(whole), 3701):
        content = bytearray(whole)
        content[at] ^= 0x41
        path.write_bytes(content)
        for part in ("-wal", "-shm"):
            Path(f"{path}{part}").unlink(missing_ok=True)
        try:
            opened = store(tmp_path)
        except EventdError as error:
            assert error.reason in ("state-too-new", "state-damaged"), at  # noqa: PT017 - many in a loop
            continue
        try:
            records = await opened.load()
            assert {r.uid for r in records.workloads.values()} <= {1001}, at
        except PermanentError as error:
            assert error.reason == "state-damaged", at  # noqa: PT017
        finally:
            opened.close()


async def test_a_lost_log_leaves_marks_that_are_ahead(tmp_path: Path) -> None:
    """Without its -wal the database is an older one that looks whole; the mark is what tells."""
    opened = store(tmp_path)
    await opened.put_workload(WEB)
    copy = (tmp_path / "state.db").read_bytes()
    opened.close()
    (tmp_path / "state.db").write_bytes(copy)
    for part in ("-wal", "-shm"):
        (tmp_path / f"state.db{part}").unlink(missing_ok=True)
    again = store(tmp_path)
    assert "web" not in (await again.load()).workloads
    assert (await again.markers())["web"] == WEB
    again.close()


async def test_setting_aside_goes_on_after_a_crash(tmp_path: Path) -> None:
    """Condemned and not moved, half moved, or moved with a new file begun: the end is the same."""
    for state in ("condemned", "log moved", "all moved", "new begun"):
        folder = tmp_path / state.replace(" ", "-")
        folder.mkdir()
        path = await filled(folder)
        garbage(path)
        Path(f"{path}-wal").write_bytes(b"log")
        condemn(str(path), "damaged", wall=lambda: 1_000_000_000.0)
        kept = Path(f"{path}.damaged-20010909T014640Z")
        if state != "condemned":
            Path(f"{path}-wal").rename(f"{kept}-wal")
        if state in ("all moved", "new begun"):
            path.rename(kept)
        if state == "new begun":
            Database(str(path)).close()
        opened = store(folder)
        (text,) = (await opened.documents(LOSSES)).values()
        assert json.loads(text)["kept"] == str(kept)
        assert kept.exists()
        assert Path(f"{kept}-wal").read_bytes() == b"log"
        assert await opened.load() is not None
        opened.close()
        assert not Path(f"{path}.condemned").exists()


async def test_a_second_loss_keeps_the_first(tmp_path: Path) -> None:
    """In the same second: the names differ, and both files are there."""
    for _ in range(2):
        path = await filled(tmp_path)
        garbage(path)
        store(tmp_path).close()
    assert len(list(tmp_path.glob("state.db.damaged-*"))) == 2


def test_a_newer_versions_file_is_refused_and_left(tmp_path: Path) -> None:
    """A downgrade is no damage."""
    path = tmp_path / "state.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=99")
    db.close()
    before = path.read_bytes()
    with pytest.raises(PermanentError) as error:
        store(tmp_path)
    assert error.value.reason == "state-too-new"
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*damaged*"))


def test_a_new_host_has_lost_nothing(tmp_path: Path) -> None:
    """No file and no marks: that is the first start."""
    opened = store(tmp_path)
    assert not opened._db.rows("SELECT * FROM documents")
    opened.close()


async def test_version_1_becomes_version_2(tmp_path: Path) -> None:
    """The columns of the journal are added, and what was there stays."""
    path = tmp_path / "state.db"
    opened = store(tmp_path)
    run = await opened.begin_run(1.0, "c", "")
    await opened.begin_step(run, "web", "put-file", "/f", "{}")
    opened.close()
    db = sqlite3.connect(path)
    db.execute("ALTER TABLE steps DROP COLUMN detail")
    db.execute("ALTER TABLE steps DROP COLUMN note")
    db.execute("PRAGMA user_version=1")
    db.commit()
    db.close()
    again = store(tmp_path)
    (step,) = await again.open_steps()
    assert (step.verb, step.detail) == ("put-file", "")
    again.close()


async def test_a_row_that_makes_no_sense_is_damage(tmp_path: Path) -> None:
    """Not a traceback: the daemon leaves, and the next start sets the file aside."""
    told: list[str] = []
    path = tmp_path / "state.db"
    opened = open_store(str(path))
    opened.on_damage(told.append)
    await opened.put_workload(WEB)
    opened._db.execute("UPDATE workloads SET ownership='borrowed'")
    with pytest.raises(PermanentError) as error:
        await opened.load()
    assert error.value.reason == "state-damaged"
    assert told
    opened.close()


def test_marks_are_whole_or_as_before(tmp_path: Path) -> None:
    """Root's alone; a damaged one is told and left; what a crash left of a write goes."""
    markers = OwnershipMarkers(str(tmp_path / "accounts"))
    assert markers.read() == {}
    markers.put(WEB)
    folder = tmp_path / "accounts"
    assert (folder.stat().st_mode & 0o777, (folder / "web.json").stat().st_mode & 0o777) == (0o700, 0o600)
    (folder / "db.json").write_text('{"name": "web"}')
    (folder / "x.json").write_bytes((folder / "web.json").read_bytes())
    (folder / ".eventd-tmp-1").write_text("half")
    assert OwnershipMarkers(str(folder)).read() == {"web": WEB}
    assert sorted(p.name for p in folder.iterdir()) == ["db.json", "web.json", "x.json"]
    markers.drop("web")
    markers.drop("web")
    assert not (folder / "web.json").exists()


def test_an_unchanged_mark_is_not_written_again(tmp_path: Path) -> None:
    """A verification of the same content costs nothing here."""
    markers = OwnershipMarkers(str(tmp_path / "accounts"))
    markers.put(WEB)
    before = (tmp_path / "accounts" / "web.json").stat().st_ino
    markers.put(WEB)
    assert (tmp_path / "accounts" / "web.json").stat().st_ino == before


async def test_log_and_index_are_only_the_daemons(tmp_path: Path) -> None:
    """-wal and -shm get the mode of the database."""
    opened = store(tmp_path)
    await opened.put_workload(WEB)
    modes = {p.name: p.stat().st_mode & 0o777 for p in tmp_path.glob("state.db*")}
    opened.close()
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
