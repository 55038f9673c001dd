"""Scope: docs/explanation/seeds.md has every statement of the seeds, each with a test that there is."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs/explanation/seeds.md").read_text(encoding="utf-8")
STATEMENTS = {"000": 53, "001": 51, "002": 11, "003": 48, "004": 27}
"""How many each document makes."""
OTHERWISE = ("planned: ", "does not apply: ")


def rows() -> dict[str, list[tuple[str, str]]]:
    """Return what each document's section says: the statement's name, and what shows it."""
    sections = re.split(r"^## (\d{3}): .*$", TEXT, flags=re.MULTILINE)[1:]
    return {
        document: [
            (name, shown)
            for name, shown in re.findall(r"^\| (.+?) \| .+? \| (.+) \|$", section, re.MULTILINE)
            if name != "statement"
        ]
        for document, section in zip(sections[::2], sections[1::2], strict=True)
    }


@cache
def names_in(path: str) -> frozenset[str]:
    """Return the names of the tests of a file, which is parsed and not imported."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_no_statement_is_left_out() -> None:
    """Each document has as many rows as it makes statements, and no name twice."""
    found = rows()
    assert {document: len(each) for document, each in found.items()} == STATEMENTS
    for each in found.values():
        assert len({name for name, _ in each}) == len(each)


def test_every_statement_is_shown_by_a_test_that_there_is_or_says_why_not() -> None:
    """A row names tests, or where it is planned, or why it does not apply."""
    found = rows()
    assert found
    for each in found.values():
        for name, shown in each:
            if shown.startswith(OTHERWISE):
                continue
            named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", shown)
            assert named, f"{name} has neither a test nor a reason"
            assert shown == ", ".join(f"`{path}::{test}`" for path, test in named)
            for path, test in named:
                assert test in names_in(path), f"{name}: there is no {test} in {path}"


def test_the_page_counts_right() -> None:
    """The figures in its first lines are those of its rows."""
    shown = [text for each in rows().values() for _, text in each]
    planned, alien = (sum(text.startswith(way) for text in shown) for way in OTHERWISE)
    counts = f"{len(shown) - planned - alien} are shown, {planned} are planned, {alien} do not apply"
    assert counts in " ".join(TEXT.split())
