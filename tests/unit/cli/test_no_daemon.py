"""Scope: what eventctl says of a daemon that does not answer at the default socket, by the state of its unit."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventd.cli import entry, no_daemon, parser
from eventd.cli.terminal import Terminal
from eventd.client import NoDaemonError

GENERAL = "systemctl status eventd"


def _systemctl(folder: Path, monkeypatch: pytest.MonkeyPatch, said: str, status: int = 0) -> None:
    """Put a systemctl into PATH that says this."""
    program = folder / "systemctl"
    program.write_text(f"#!/bin/sh\nprintf '{said}'\nexit {status}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("LoadState=loaded\\nActiveState=activating\\nSubState=start\\n", "eventd is starting"),
        ("LoadState=loaded\\nActiveState=activating\\nSubState=auto-restart\\n", "about to be restarted"),
        ("LoadState=loaded\\nActiveState=failed\\nSubState=failed\\n", "journalctl -u eventd"),
        ("LoadState=loaded\\nActiveState=deactivating\\nSubState=stop-sigterm\\n", "eventd is stopping"),
        (
            "LoadState=loaded\\nActiveState=inactive\\nConditionResult=no\\nConditionTimestamp=\\n",
            "enable --now",
        ),
        (
            "LoadState=loaded\\nActiveState=inactive\\nConditionResult=no\\nConditionTimestamp=Sun\\n",
            "no configuration yet: eventctl doctor",
        ),
        ("LoadState=masked\\nActiveState=inactive\\n", "systemctl unmask eventd"),
        ("LoadState=not-found\\nActiveState=inactive\\n", "not installed"),
        ("LoadState=loaded\\nActiveState=active\\nSubState=running\\n", ""),
    ],
)
def test_the_hint_tells_a_start_from_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, expected: str
) -> None:
    """Right after a boot it says to ask again; a failed one has its journal named."""
    _systemctl(tmp_path, monkeypatch, said)
    assert expected in no_daemon.hint()
    assert bool(no_daemon.hint()) is bool(expected)


def test_without_systemd_the_general_hint_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a container nobody answers for the unit."""
    _systemctl(tmp_path, monkeypatch, "System has not been booted with systemd\\n", status=1)
    assert no_daemon.hint() == ""


@pytest.mark.parametrize(
    ("path", "expected"), [("/run/eventd/eventd.sock", "eventd is starting"), ("/elsewhere", GENERAL)]
)
def test_the_unit_is_asked_for_the_default_socket_only(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    path: str,
    expected: str,
) -> None:
    """A daemon at another socket is not eventd.service."""
    _systemctl(tmp_path, monkeypatch, "LoadState=loaded\\nActiveState=activating\\nSubState=start\\n")
    error = NoDaemonError(f"no daemon at {path}", hint=GENERAL)
    assert entry.fail(error, parser.parse(["status"]), Terminal(colour=False)) == 3
    assert expected in capsys.readouterr().err
