"""`eventctl storage`: the exit codes, and what is no command at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.cli_runner import eventctl
from tests.unit.cli.fake_daemon import Answer, FakeDaemon, short_path


@pytest.mark.parametrize(
    ("volumes", "code"),
    [
        ([{"state": "attached", "users": ["app"]}], 0),
        ([{"state": "disconnected"}], 0),
        ([{"state": "disconnected", "users": ["app"]}], 4),
        ([{"state": "ejected"}], 0),
        ([{"state": "ejected", "users": ["app"]}], 4),
        ([{"state": "ejecting", "reason": "in-use", "users": ["app"]}], 1),
        ([{"state": "ejecting", "users": ["app"]}], 4),
        ([{"state": "attached", "reason": "not-moved"}], 4),
        ([{"state": "refused"}, {"state": "ejected", "users": ["app"]}], 1),
    ],
)
def test_the_exit_code_is_that_of_the_worst_volume(
    tmp_path: Path, volumes: list[dict[str, Any]], code: int
) -> None:
    """1 wrong, 4 one that is used is not attached."""
    answer = {"volumes": [{"name": "media", "path": "/srv/media", **each} for each in volumes]}
    with FakeDaemon(short_path(tmp_path), {"GET /v1/storage": Answer(answer)}) as fake:
        assert eventctl("--socket", fake.path, "storage").code == code


@pytest.mark.parametrize(
    "words",
    [("eject",), ("migrate",), ("migrate", "media"), ("polish", "media"), ("eject", "media", "big")],
)
def test_half_a_command_is_a_usage_error(words: tuple[str, ...]) -> None:
    """Nobody is asked: there is no daemon."""
    result = eventctl("--socket", "/nowhere/eventd.sock", "storage", *words)
    assert result.code == 2
    assert "eventctl storage" in result.err
