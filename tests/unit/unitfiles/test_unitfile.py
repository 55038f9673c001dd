"""Scope: the unit file parser: lossless, systemd's syntax, and a place for everything that is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventd.unitfiles.model import LineKind, merged, parse

pieces = st.sampled_from(
    [
        "[A]",
        "[B]",
        "[",
        "]",
        "K",
        "L",
        "=",
        "v",
        "w",
        "\\",
        "\n",
        "\n",
        "\r\n",
        " ",
        "\t",
        "#",
        ";",
        "+",
        "\ufeff",
        "é",
        "\x0b",
        "\x00",
    ]
)


def codes(content: bytes) -> list[tuple[str, int]]:
    return [(d.code, d.line) for d in parse(content, "f").diagnostics]


@given(st.lists(pieces, max_size=60).map(lambda parts: "".join(parts).encode()))
def test_text_round_trips(content: bytes) -> None:
    """Whatever is like a unit file comes back byte for byte."""
    assert parse(content, "f").render() == content


@given(st.binary(max_size=200))
def test_bytes_round_trip(content: bytes) -> None:
    """Whatever is not like one comes back byte for byte, too."""
    assert parse(content, "f").render() == content


@given(st.lists(pieces, max_size=60).map("".join))
def test_line_numbers_are_those_of_the_text(text: str) -> None:
    """Each logical line begins at the physical line it says."""
    at = 1
    for line in parse(text.encode(), "f").lines:
        assert line.number == at
        at += max(1, line.raw.count("\n"))


def test_keys_repeat_in_order_and_sections_merge() -> None:
    """A key may come again, and so may its section; the order is that of the file."""
    unit = parse(b"[A]\nK=1\n[B]\nK=x\n[A]\nK=2\n", "f")
    assert [line.value for line in unit.values("A", "K")] == ["1", "2"]
    assert unit.sections == ("A", "B")
    assert [line.number for line in unit.entries("A")] == [2, 6]


def test_an_empty_assignment_resets() -> None:
    """What stands before an empty assignment is not in effect."""
    unit = parse(b"[A]\nK=1\nK=\nK=2\nL=1\nL=\n", "f")
    assert [line.value for line in unit.values("A", "K")] == ["2"]
    assert unit.values("A", "L") == ()
    assert unit.last("A", "L") is None
    assert unit.has("A", "L")
    assert not unit.has("A", "M")


def test_a_drop_in_resets_what_its_file_says() -> None:
    """Drop-ins are read after the file."""
    unit = merged(parse(b"[Install]\nWantedBy=default.target\n", "f"), parse(b"[Install]\nWantedBy=\n", "d"))
    assert unit.values("Install", "WantedBy") == ()


def test_continuations_join_with_a_space_and_skip_comments() -> None:
    """systemd.syntax(7): a backslash becomes a space, comments within are left out, and do not continue."""
    unit = parse(b"[A]\nK=one\\\n   two \\\n# no \\\n; nor this\n  three\nL=4\n", "f")
    assert unit.value("A", "K") == "one two  three"
    assert unit.value("A", "L") == "4"
    assert unit.entries("A", "K")[0].number == 2
    assert unit.entries("A", "L")[0].number == 7
    assert unit.diagnostics == ()


def test_a_comment_is_not_continued() -> None:
    """A backslash at the end of a comment means nothing."""
    assert parse(b"[A]\n# c \\\nK=1\n", "f").value("A", "K") == "1"


def test_space_around_the_equals_sign_is_no_part_of_it() -> None:
    """Whitespace around key and value goes, within the value it stays; a no-break space is none."""
    unit = parse("[A]\n  K =  a  b \u00a0\n".encode(), "f")
    assert unit.value("A", "K") == "a  b \u00a0"


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        (b"\xef\xbb\xbf[A]\nK=1\n", "byte-order-mark", 1),
        (b"[A]\nK=1\r\nL=2\r\n", "crlf", 2),
        (b"[A]\nK=\x00\n", "nul-byte", 2),
        (b"[A]\nK=1\nL=\xff\n", "not-utf-8", 3),
        (b"[A]\n\nK=a\\\n", "unfinished-continuation", 3),
        (b"[A]\nK=a \\\n\nL=1\n", "blank-in-continuation", 3),
        (b"[A]\nK=a\\\\\nL=1\n", "double-backslash", 2),
        (b"[A\nK=1\n", "invalid-section", 1),
        (b"[A]\n=1\n", "invalid-key", 2),
        (b"[A]\nK 1=1\n", "invalid-key", 2),
        (b"[A]\nhello\n", "invalid-line", 2),
        (b"# c\nK=1\n[A]\n", "no-section", 2),
    ],
)
def test_each_mistake_has_its_code_and_line(content: bytes, code: str, line: int) -> None:
    """A mistake in the syntax is an error at its line."""
    assert (code, line) in codes(content)


def test_a_mistake_is_told_once() -> None:
    """A file with Windows line ends is one finding, not one per line."""
    assert codes(b"[A]\r\nK=1\r\nL=2\r\n") == [("crlf", 1)]


def test_what_is_right_has_no_findings() -> None:
    """Comments, blank lines, repeated sections, and a last line without its end are all in order."""
    unit = parse(b"# c\n\n; d\n[A]\nK=\n\n[B-C]\nK=a=b", "f")
    assert unit.diagnostics == ()
    assert unit.value("B-C", "K") == "a=b"
    assert [line.kind for line in unit.lines][:3] == [LineKind.COMMENT, LineKind.BLANK, LineKind.COMMENT]


@pytest.mark.parametrize(
    ("text", "truth"), [("Yes", True), ("0", False), ("off", False), ("maybe", None), ("", None)]
)
def test_booleans_are_read_as_systemd_reads_them(text: str, truth: bool | None) -> None:
    """systemd.syntax(7) has eight spellings; anything else is not one."""
    assert parse(f"[A]\nK={text}\n".encode(), "f").truth("A", "K") is truth
