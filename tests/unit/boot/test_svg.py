"""Scope: the picture of a boot: well-formed whatever is in the names, within its page, no text over another."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventd.boot.model import FactTime, Span, SpanKind
from eventd.boot.model_svg import WIDTH, svg
from eventd.kernel.model import letters
from tests.unit.boot.boots import ONLINE, record, start, workload
from tests.unit.boot.letters import width

NS = "{http://www.w3.org/2000/svg}"
PHOTOS = workload(
    "photos", Span(SpanKind.WAIT, ONLINE, 10.0, 20.1), *start("photos", 20.1, 25.1), converged=26.1
)


def texts(root: ET.Element) -> list[tuple[float, float, str, float]]:
    """Return (left, y, text, width) of every text."""
    found = []
    for each in root.iter(f"{NS}text"):
        said = (each.text or "").strip()
        wide = width(said, float(each.get("font-size", "12")), bold=each.get("class") == "head")
        x = float(each.attrib["x"])
        left = {"end": x - wide, "middle": x - wide / 2}.get(each.get("text-anchor", ""), x)
        found.append((left, float(each.attrib["y"]), said, wide))
    return found


def test_rows_bars_and_the_path_are_drawn() -> None:
    """A row for each fact and workload, a diamond at the end, one line for the critical path."""
    root = ET.fromstring(svg(record(PHOTOS)))
    said = [text for _x, _y, text, _w in texts(root)]
    for label in ("kernel", "eventd", ONLINE, "wait-online.service", "photos", "26.1 s"):
        assert label in said
    assert len([each for each in root.iter(f"{NS}polyline") if each.get("class") == "path"]) == 1
    assert {each.get("class") for each in root.iter(f"{NS}rect")} >= {"wait", "start", "verify", "system"}
    assert any(
        each.text == "waits for unit:network-online.target: 10.1 s" for each in root.iter(f"{NS}title")
    )


@pytest.mark.parametrize("letter", ["m", "W", "i", "n", "_", "\N{CJK UNIFIED IDEOGRAPH-4E00}"])
@pytest.mark.parametrize("count", [1, 3, 120])
def test_no_text_stands_over_another_or_off_the_page(count: int, letter: str) -> None:
    """Long names are cut, of wide letters as of narrow ones; more workloads than fit are counted."""
    many = [
        workload(f"w{n:03}-" + letter * 40, *start("w", 5 + n / 10, 6 + n / 10), converged=20 + n / 50)
        for n in range(count)
    ]
    facts = tuple(FactTime(f"https://very.long.example/{letter * 90}{n}", 5.0 + n / 9) for n in range(count))
    drawn = svg(record(*many, facts=facts, host=letter * 60))
    root = ET.fromstring(drawn)
    height = float(root.attrib["height"])
    lines = defaultdict(list)
    said_all = texts(root)
    assert len(said_all) > 20
    for left, y, said, wide in said_all:
        assert left >= 0, said
        assert left + wide <= WIDTH, said
        assert 0 < y < height
        lines[y].append((left, left + wide, said))
    for row in lines.values():
        row.sort()
        assert all(one[1] <= two[0] for one, two in itertools.pairwise(row)), row
    assert len(drawn) < 120_000


@pytest.mark.parametrize("bold", [False, True])
def test_no_letter_is_wider_than_it_is_taken_for(*, bold: bool) -> None:
    """Nor much narrower, so that no room is wasted."""
    for code in range(32, 127):
        letter = chr(code)
        taken, is_ = letters.width(letter, 12, bold=bold), width(letter, 12, bold=bold)
        assert is_ <= taken <= is_ * 1.6, letter
        assert width(letter, 12, mono=True) <= letters.mono(letter, 12)
    for letter in "…\ufffd":
        assert width(letter, 12, bold=bold) <= letters.width(letter, 12, bold=bold)


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_name_is_escaped(name: str, fact: str) -> None:
    """It stays XML, and no name becomes an element or an attribute."""
    odd = workload(name, Span(SpanKind.WAIT, fact, 5, 9), *start(name, 9, 10), converged=11)
    root = ET.fromstring(svg(record(odd, facts=(FactTime(fact, 9.0),), host=name)))
    assert {each.tag.removeprefix(NS) for each in root.iter()} <= {
        "svg", "title", "style", "rect", "text", "line", "path", "polyline",
    }  # fmt: skip


def test_what_has_not_come_and_has_not_converged_is_drawn_too() -> None:
    """An open wait goes on to the end of the axis; what is missing is called so."""
    open_ = workload("photos", Span(SpanKind.WAIT, "mount:/srv", 6), waits_for=("mount:/srv",))
    root = ET.fromstring(svg(record(open_, facts=(FactTime("mount:/srv"),), complete=False)))
    said = [text for _x, _y, text, _w in texts(root)]
    assert "not yet" in said
    assert "held" in said
