"""Scope: `eventctl gates`, as a lint of unit folders without a daemon, and of the daemon's gates."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.cli_runner import Result, eventctl
from tests.unit.cli.fake_daemon import NOW, Answer, FakeDaemon
from tests.unit.waits.waitgraphs import FIXTURES


def lint(name: str, *argv: str) -> Result:
    return eventctl("gates", "--units", str(FIXTURES / name), *argv)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("seed-002", 1),
        ("fix-1-ping", 0),
        ("fix-1-drone", 1),
        ("fix-2-concurrent", 0),
        ("fix-3-reversed", 0),
        ("drop-in", 1),
        ("template", 1),
    ],
)
def test_the_exit_code_says_whether_it_is_circular(name: str, code: int) -> None:
    """0 clean, 1 circular, as text and as JSON."""
    assert lint(name).code == code
    answer = json.loads(lint(name, "--json").out)
    assert bool(answer["cycles"]) is bool(code)


def test_the_circle_and_its_ways_out_are_told() -> None:
    """Sentences, what comes of it, what breaks it, and what would be circular again."""
    out = lint("seed-002").out
    assert "circular: deploy-proxy.service waits for itself" in out
    assert "  3. deploy-dashboard.service is not started before deploy-proxy.service" in out
    assert "what breaks it, each tried on this graph:" in out
    assert (
        "reverse it: Wants=deploy-dashboard.service and After=deploy-dashboard.service in deploy-proxy.service"
        in out
    )
    assert "what would be circular again:" in out
    assert out.endswith(
        "4 units, 1 wait declared, 2 start scripts whose waits are not declared; 1 circular\n"
    )


def test_the_picture_is_written(tmp_path: Path) -> None:
    """--svg FILE besides the text; --svg - instead of it."""
    result = lint("seed-002", "--svg", str(tmp_path / "x.svg"))
    assert result.code == 1
    assert "circular:" in result.out
    assert (tmp_path / "x.svg").read_text().startswith("<svg ")
    assert lint("seed-002", "--svg", "-").out.startswith("<svg ")


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Said with the reason, not as a traceback."""
    result = lint("fix-1-ping", "--svg", str(tmp_path / "absent" / "x.svg"))
    assert result.code == 2
    assert "cannot write" in result.err


def test_no_folder_is_2(tmp_path: Path) -> None:
    """A folder that is not there is a mistake of usage."""
    result = eventctl("gates", "--units", str(tmp_path / "absent"))
    assert (result.code, result.out) == (2, "")
    assert "there is no folder" in result.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[wait]]\nunit = "a.service"\nfor = "htps://x/"\n',
            "waits.toml:3: error: [wait.0.for] unknown predicate htps:",
        ),
        (
            '[[wait]]\nunit = "b.service"\nfor = "https://x/"\n',
            "waits.toml:2: error: [unit] there is no unit b.service here",
        ),
        ("[[wait]\n", "not valid TOML"),
    ],
)
def test_a_mistake_in_waits_toml_is_2(tmp_path: Path, text: str, said: str) -> None:
    """Told with its place: a wait that was not understood must not pass for a clean folder."""
    (tmp_path / "a.service").write_text("[Service]\nExecStart=/bin/true\n")
    (tmp_path / "waits.toml").write_text(text)
    result = eventctl("gates", "--units", str(tmp_path))
    assert result.code == 2
    assert said in result.out
    assert "; none is circular, as far as they could be read" in result.out


def test_a_terminal_is_safe_from_what_units_say(tmp_path: Path) -> None:
    """An escape sequence in a unit file does not reach the terminal."""
    (tmp_path / "a.service").write_text("[Unit]\nAfter=b.service\x1b[31m\n[Service]\nType=oneshot\n")
    (tmp_path / "waits.toml").write_text('[[wait]]\nunit = "a.service"\nfor = "file:/x"\n')
    assert "\x1b" not in eventctl("gates", "--units", str(tmp_path)).out


def test_folders_are_read_one_over_the_other(tmp_path: Path) -> None:
    """--units twice: as /etc over /usr/lib."""
    for folder, kind in (("etc", "simple"), ("usr", "oneshot")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.service").write_text(f"[Service]\nType={kind}\nExecStart=/bin/true\n")
    (tmp_path / "usr" / "b.service").write_text("[Unit]\nAfter=a.service\n[Service]\nExecStart=/bin/true\n")
    waits = '[[wait]]\nunit = "a.service"\nfor = "https://x/"\nserved_by = "b.service"\n'
    (tmp_path / "usr" / "waits.toml").write_text(waits)
    assert eventctl("gates", "--units", str(tmp_path / "usr")).code == 1
    assert eventctl("gates", "--units", str(tmp_path / "etc"), "--units", str(tmp_path / "usr")).code == 0


# With a daemon.

GATES = {
    "nodes": [],
    "edges": [
        {
            "from": "gate:photos/requires",
            "to": "fact:mount:/srv/photos",
            "kind": "gate",
            "sentence": "eventd starts nothing of workload photos before mount /srv/photos is there (w.toml:1)",
            "circular": False,
        }
    ],
    "cycles": [],
    "notes": [],
    "gates": [
        {
            "workload": "web",
            "kind": "requires",
            "predicate": "manager:web",
            "holds": True,
            "since": NOW - 60,
            "missing": [],
        },
        {
            "workload": "photos",
            "kind": "requires",
            "predicate": "mount:/srv/photos",
            "holds": False,
            "since": NOW - 120,
            "missing": ["mount /srv/photos is not mounted"],
        },
    ],
}


def asked(tmp_path: Path, answer: object, *argv: str) -> Result:
    path = str(tmp_path / "eventd.sock")
    with FakeDaemon(path, {"GET /v1/gates": Answer(answer)}):
        return eventctl("gates", "--socket", path, *argv)


def test_the_daemons_gates_are_shown_shut_ones_first(tmp_path: Path) -> None:
    """What is missing and since when; 4, since something is waited for."""
    result = asked(tmp_path, GATES)
    assert result.code == 4
    lines = result.out.splitlines()
    assert lines[1].split()[:3] == ["photos", "requires", "SHUT"]
    assert "mount /srv/photos is not mounted" in lines[1]
    assert lines[2].split()[:3] == ["web", "requires", "open"]
    assert (
        "eventd starts nothing of workload photos before mount /srv/photos is there (w.toml:1)" in result.out
    )


def test_open_gates_are_0(tmp_path: Path) -> None:
    """Nothing is waited for."""
    assert asked(tmp_path, {**GATES, "gates": GATES["gates"][:1]}).code == 0  # type: ignore[index]


def test_the_daemons_answer_is_passed_on_as_json(tmp_path: Path) -> None:
    """--json is the document itself."""
    assert json.loads(asked(tmp_path, GATES, "--json").out) == GATES


def test_the_daemons_graph_is_drawn(tmp_path: Path) -> None:
    """--svg draws what the daemon says."""
    nodes = [{"id": "workload:web", "kind": "workload", "label": "web", "scope": "web"}]
    out = asked(tmp_path, {**GATES, "nodes": nodes, "edges": []}, "--svg", "-").out
    assert "<title>web</title>" in out
