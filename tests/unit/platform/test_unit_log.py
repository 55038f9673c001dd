"""JournalReader lines of a failing unit: the matches, every form of MESSAGE, and a journal that cannot be read."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from eventd.platform.model_facts import Account
from eventd.platform.unit_log import JournalReader, matches, message
from tests.processes import script

WEB = Account("web", 1001, 1001, "/home/web")


def test_a_user_unit_is_matched_by_fields_that_cannot_be_forged():
    """Every alternative of the expression holds the user's own uid, and the invocation where one is given."""
    assert matches(WEB, "web.service", "ab12") == [
        "_UID=1001",
        "_SYSTEMD_USER_UNIT=web.service",
        "_SYSTEMD_INVOCATION_ID=ab12",
        "+",
        "_UID=1001",
        "USER_UNIT=web.service",
        "USER_INVOCATION_ID=ab12",
    ]


def test_a_system_unit_is_matched_with_what_pid_1_says():
    """What is said *of* a system unit counts only from the manager itself."""
    assert matches(None, "db.service", "") == ["_SYSTEMD_UNIT=db.service", "+", "_PID=1", "UNIT=db.service"]


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"MESSAGE": "plain"}, "plain"),
        ({"MESSAGE": list("gr\u00fc\u00df".encode("latin-1"))}, "gr\ufffd\ufffd"),
        ({"MESSAGE": ["first", "second"]}, "first"),
        ({"MESSAGE": [[104, 105], [1]]}, "hi"),
        ({"MESSAGE": None}, ""),
        ({}, ""),
        ([], ""),
        ({"MESSAGE": "\x1b[31mred\x07 tab\tend\n"}, "[31mred  tab end"),
        ({"MESSAGE": "x" * 600}, "x" * 499 + "…"),
        ({"MESSAGE": [1000]}, ""),
        ({"MESSAGE": "… container create 0a1b2c (image=localhost/x:1)", "PODMAN_EVENT": "create"}, ""),
    ],
)
def test_every_form_of_a_message_becomes_one_printable_line(entry: object, text: str):
    """Strings, bytes, several values, none, control characters, too long ones, podman's own."""
    assert message(json.dumps(entry).encode()) == text


def test_a_line_that_is_no_json_is_skipped():
    """A cut-off line has no text."""
    assert message(b'{"MESSAGE": "x') == ""


async def test_the_lines_come_in_order_and_bounded(tmp_path: Path):
    """Journalctl is asked for a bounded number of lines, and its output is returned oldest first."""
    says = """echo '{"MESSAGE":"one"}'; echo '{}'; echo '{"MESSAGE":"two"}'"""
    command = script(tmp_path / "journalctl", f'echo "$@" > {tmp_path}/arguments; {says}')
    assert list(await JournalReader(command=command).tail(WEB, "web.service", lines=10_000)) == ["one", "two"]
    arguments = (tmp_path / "arguments").read_text()
    assert "--lines=200" in arguments
    assert "--no-pager" in arguments


async def test_podmans_events_take_no_place_of_what_the_unit_said(tmp_path: Path):
    """More is read than is wanted, and what is not podman's is kept, as many of the last lines as were asked for."""
    event = """'{"MESSAGE":"create","PODMAN_EVENT":"create"}'"""
    says = f"""for n in 1 2 3; do echo "{{\\"MESSAGE\\":\\"$n\\"}}"; echo {event}; done"""
    command = script(tmp_path / "journalctl", f'echo "$@" > {tmp_path}/arguments; {says}')
    assert list(await JournalReader(command=command).tail(WEB, "web.service", lines=2)) == ["2", "3"]
    assert "--lines=6" in (tmp_path / "arguments").read_text()


@pytest.mark.parametrize("body", ["echo denied >&2; exit 1", "sleep 10"])
async def test_an_unreadable_journal_gives_no_lines_and_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: str
):
    """A journalctl that fails or hangs costs the report its lines, not the run, and is logged."""
    with caplog.at_level(logging.WARNING):
        journal = JournalReader(command=script(tmp_path / "journalctl", body), timeout=0.2)
        assert list(await journal.tail(None, "x.service", lines=5)) == []
    assert "no journal lines of x.service" in caplog.text
