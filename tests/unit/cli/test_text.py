"""Scope: eventd.cli.text: what is safe to print, how wide it is, and how times and tables read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventd.cli.text import ago, clean, clean_lines, cut, duration, lasting, short, table, width, wrap


@pytest.mark.parametrize(
    ("remote", "printed"),
    [
        ("plain", "plain"),
        ("\x1b[32mINFO\x1b[0m up", "INFO up"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x1bPq#0\x1b\\b", "ab"),
        ("\x9b31mred", "red"),
        ("\x1b", "\\x1b"),
        ("\x1b[2", "\\x1b[2"),
        ("over\rwritten", "over\\x0dwritten"),
        ("bell\x07 back\x08", "bell\\x07 back\\x08"),
        ("user\u202egnp.exe", "user\\u202egnp.exe"),
        ("a\x00b\x7f\x85", "a\\x00b\\x7f\\x85"),
        ("lone\ud800", "lone\\ud800"),
        ("two\nlines", "two lines"),
        ("smörgås 東京", "smörgås 東京"),
    ],
)
def test_no_remote_text_reaches_the_terminal_as_a_command(remote: str, printed: str) -> None:
    """Escape sequences vanish, other control characters are shown as what they are."""
    assert clean(remote) == printed


def test_lines_stay_lines_where_they_may() -> None:
    """Several lines are kept by `clean_lines`, with CR LF as LF."""
    assert clean_lines("a\r\n\x1b[1mb\n") == "a\nb\n"


@settings(max_examples=50)
@given(st.text(max_size=40))
def test_cleaned_text_holds_no_control_character(text: str) -> None:
    """Whatever comes in, nothing that moves a cursor or reorders text goes out."""
    out = clean(text)
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 or char in "\u202e\u2066" for char in out)
    out.encode()  # no lone surrogate either


@given(st.text(alphabet="\x1b[]0;m\x07\\PX^ab\x9b", max_size=30))
def test_removing_a_sequence_does_not_make_another_one(text: str) -> None:
    """A sequence that is put together by removing one inside it does not survive."""
    assert "\x1b" not in clean(text)
    assert "\x9b" not in clean(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.0404, "40 ms"),
        (3.21, "3.2 s"),
        (42.4, "42 s"),
        (59.9, "1 min"),
        (300, "5 min"),
        (3599, "1 h"),
        (7800, "2 h 10 min"),
        (90_000, "1 d 1 h"),
        (86_400 * 30, "30 d"),
    ],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    """A duration has one or two units, whichever are telling."""
    assert duration(seconds) == text


def test_times_are_relative() -> None:
    """Past, future, now and never each have their words."""
    assert ago(880, 1000) == "2 min ago"
    assert ago(996.8, 1000) == "3 s ago"
    assert ago(1030, 1000) == "in 30 s"
    assert ago(1000.2, 1000) == "just now"
    assert ago(None, 1000) == ago(0, 1000) == ""


def test_lasting_states_are_told_by_their_length() -> None:
    """How long something has been so reads as a sentence."""
    assert lasting(880, 1000) == "for 2 min"
    assert lasting(1000, 1000) == "since just now"
    assert lasting(None, 1000) == ""


def test_commits_are_short() -> None:
    """A full id is cut to ten characters, anything else is left as it is."""
    assert short("a" * 40) == "a" * 10
    assert short("v1.2.3-with-a-long-name") == "v1.2.3-with-a-long-name"
    assert short(None) == ""


def test_wide_characters_keep_columns_aligned() -> None:
    """East Asian characters take two columns, combining ones none."""
    assert width("東京") == 4
    assert width("e\u0301") == 1
    assert cut("東京都庁", 5) == "東京…"
    rows = table(("A", "B"), [["東京", "x"], ["ab", "y"]], columns=None)
    assert [width(line[0]) for line in rows] == [6, 6, 6]


def test_a_table_leaves_out_empty_columns_and_cuts_the_last() -> None:
    """Columns nobody filled are not shown; the last one is cut to the terminal's width."""
    rows = table(("NAME", "NOTHING", "TEXT"), [["web", "", "x" * 50]], columns=20)
    assert rows == [["NAME  ", "TEXT"], ["web   ", "x" * 13 + "…"]]


def test_paragraphs_are_wrapped_on_a_terminal_only() -> None:
    """A pipe gets a line as one line; a word longer than the terminal stays whole."""
    assert wrap("one two three", "  ", columns=9) == ["  one two", "  three"]
    assert wrap("one two three", "  ", columns=None) == ["  one two three"]
    assert wrap("x" * 30, "", columns=9) == ["x" * 30]
