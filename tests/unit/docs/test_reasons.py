"""Scope: the table of reasons is whole, true to the code, and what `eventctl explain` says."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from eventd.cli import parser
from eventd.kernel.model.names import nearest
from eventd.platform.dbus import errors
from eventd.status import adapter_reasons as reasons
from eventd.storage import commands_change, commands_migrate
from tests.unit.cli.cli_runner import eventctl
from tests.unit.docs.reasons_in_code import Source

ROOT = Path(__file__).parents[3]
TABLE = {each.name: each for each in reasons.table()}


def test_every_reason_in_the_code_is_in_the_table_and_the_other_way_round() -> None:
    """Whatever the code can give as a reason has its meaning and way out, and the table has nothing else."""
    given = {
        name: ["eventd.platform.dbus.errors"] for name in errors.permanent_reasons()
    } | Source().reasons()
    unknown = {name: places[0] for name, places in given.items() if name not in TABLE}
    assert not unknown, "write a row into eventd/reasons.toml"
    assert not set(TABLE) - set(given), "no code gives these: take them out of eventd/reasons.toml"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise PermanentError('x', reason='given-so')", "given-so"),
        ("def f(*, reason: str = 'given-so') -> None: ...", "given-so"),
        ("def _f():\n return 'given-so', 'x'\ndef g():\n reason, text = _f()", "given-so"),
        ("WHY = 'given-so'\nraise PermanentError('x', reason=WHY)", "given-so"),
        ("_REASON = 'given-so'", "given-so"),
        ("class _E(Exception):\n reason = 'given-so'", "given-so"),
        ("def _deny(reason, text): ...\n_deny('given-so', 'x')", "given-so"),
        ("say({'reason': 'given-so'})", "given-so"),
        ("def g(name):\n raise PermanentError('x', reason=f'{name}-given')", "*-given"),
    ],
)
def test_the_scan_finds_a_reason_in_each_way_of_giving_one(code: str, reason: str) -> None:
    """The search for reasons fails for a new one, however it is given."""
    assert reason in Source({"eventd.new": code}).reasons()


def test_what_to_do_names_commands_that_there_are() -> None:
    """Each eventctl command in the table is one that the parser takes, with a verb of `storage` that exists."""
    known, taken = parser.build(), 0
    verbs = (*commands_change.VERBS, *commands_migrate.VERBS)
    for each in TABLE.values():
        for text in re.findall(r"`(eventctl [^`]*)`", f"{each.meaning} {each.way_out}"):
            words = shlex.split(text)[1:]
            if "COMMAND" in words:
                continue
            words = ["0" * 40 if word in ("COMMIT", "ID") else word for word in words]
            parsed = parser.parse(words, known)
            assert parsed.command, text
            if parsed.command == "storage":  # its words are free for the parser
                assert parsed.words in ([], ["VOLUME"], *([verb, "VOLUME"] for verb in verbs)), text
                assert "migrate" not in words or parsed.to or parsed.abort, text
            taken += 1
    assert taken > 20


def test_links_of_the_table_lead_somewhere() -> None:
    """A page that a row links to is there."""
    links = [
        (each.name, target) for each in TABLE.values() for target in re.findall(r"\]\(([^)#]+)", each.way_out)
    ]
    assert links
    for name, target in links:
        assert (ROOT / "docs/reference" / target).is_file(), f"{name}: {target}"


def test_explain_says_what_a_reason_means_without_a_daemon() -> None:
    """`eventctl explain start-limit-hit` has the meaning and the way out."""
    said = eventctl("explain", "start-limit-hit")
    assert said.code == 0
    assert "systemd gave up" in said.out
    assert "eventctl sync" in said.out


def test_explain_knows_a_reason_that_is_put_together() -> None:
    """`accounts-unavailable` is found by its pattern, `logind-unavailable` by its own row."""
    assert "source of facts" in eventctl("explain", "accounts-unavailable").out
    assert "logind cannot be reached" in eventctl("explain", "logind-unavailable").out


def test_explain_in_json_has_one_or_all() -> None:
    """Scripts get the row, or the whole table."""
    one = json.loads(eventctl("explain", "gate-timeout", "--json").out)
    assert one["reason"] == "gate-timeout"
    assert set(one) == {"reason", "group", "meaning", "way_out"}
    every = json.loads(eventctl("explain", "--json").out)["reasons"]
    assert {row["reason"] for row in every} == set(TABLE)


def test_explain_of_a_misspelt_reason_names_the_near_one() -> None:
    """A typo is answered with what it was meant to be."""
    assert nearest("gate-timout", TABLE) == "gate-timeout"
    said = eventctl("explain", "gate-timout")
    assert said.code == 1
    assert "did you mean gate-timeout?" in said.err
