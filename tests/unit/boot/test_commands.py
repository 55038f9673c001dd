"""Scope: `eventctl boot` as text, JSON and a picture, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventd.boot.documents import boot
from eventd.boot.model import BootOrigin, FactTime, Span, SpanKind
from tests.unit.boot.boots import ONLINE, record, start, workload
from tests.unit.cli.cli_runner import eventctl
from tests.unit.cli.fake_daemon import Answer, FakeDaemon, short_path

PHOTOS = workload(
    "photos", Span(SpanKind.WAIT, ONLINE, 10.0, 20.1), *start("photos", 20.1, 25.1), converged=26.1
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """A daemon that tells of a boot."""
    answers = {"GET /v1/boot": Answer(boot(record(PHOTOS))), "GET /v1/boot.svg": Answer(text="<svg/>\n")}
    with FakeDaemon(short_path(tmp_path), answers) as fake:
        yield fake


def test_a_table_with_bars_and_the_path_in_sentences(daemon: FakeDaemon) -> None:
    """Facts and workloads stand under each other in columns, then what the time was made of."""
    result = eventctl("boot", "--socket", daemon.path)
    assert result.code == 0
    lines = result.out.splitlines()
    assert lines[0] == "homelab was converged 26.1 s after the kernel started (photos)"
    rows = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert rows["photos"].rstrip().endswith("◆")
    assert "░" in rows["photos"]
    assert "┃" in rows[ONLINE]
    place = rows[ONLINE].index("20.1 s") + 6
    assert place == rows["photos"].index("26.1 s") + 6
    # A wait ends in the column in which its fact came.
    assert rows[ONLINE].index("┃") - rows["photos"].rindex("░") in (0, 1)
    assert f"     16.7 s  64 %  wait-online.service starts; photos waits for {ONLINE}" in lines


def test_it_fits_a_narrow_terminal(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """No line is longer than the terminal is wide, but the legend."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = eventctl("boot", "--socket", daemon.path, tty=True).out.splitlines()
    assert max(len(line) for line in lines if "waits at a gate" not in line) <= 80


def test_pictures_go_to_a_file_or_the_output(daemon: FakeDaemon, tmp_path: Path) -> None:
    """`-` is the output alone; a file that cannot be written is an error with its name."""
    assert eventctl("boot", "--svg", "-", "--socket", daemon.path).out == "<svg/>\n"
    path = tmp_path / "boot.svg"
    assert eventctl("boot", "--svg", str(path), "--socket", daemon.path).out.startswith("homelab was")
    assert path.read_text() == "<svg/>\n"
    result = eventctl("boot", "--svg", str(tmp_path / "no" / "x"), "--socket", daemon.path)
    assert result.code == 1
    assert "cannot write" in result.err


def test_json_is_the_daemons(daemon: FakeDaemon) -> None:
    """Programs get the document."""
    assert json.loads(eventctl("boot", "--json", "--socket", daemon.path).out) == boot(record(PHOTOS))


def test_what_still_waits_is_said_and_is_the_exit_code(daemon: FakeDaemon) -> None:
    """4: nothing failed, something is waited for; control characters of a name do not reach the terminal."""
    waiting = workload(
        "photos", Span(SpanKind.WAIT, "file:/a\x1b]0;x\x07b", 6), waits_for=("file:/a\x1b]0;x\x07b",)
    )
    facts = (FactTime("file:/a\x1b]0;x\x07b"), FactTime("early", early=True))
    document = boot(record(waiting, facts=facts, complete=False, origin=BootOrigin.DAEMON, uptime=3600.0))
    daemon.answers["GET /v1/boot"] = Answer(document)
    result = eventctl("boot", "--socket", daemon.path)
    assert result.code == 4
    assert "photos still waits for file:/ab" in result.out
    assert "this is its start, not the boot's" in result.out
    assert "\x1b" not in result.out
    assert "before" in result.out
