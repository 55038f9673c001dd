"""Scope: the pages about security: each promise and each attack names a test, and each unit what its sandbox lacks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
NAMED = re.compile(r"`tests/[\w/]+\.py::test_\w+`")


@pytest.mark.parametrize("page", ["SECURITY.md", "docs/explanation/security.md"])
def test_every_row_names_a_test(page: str) -> None:
    """Of the tables whose last column is tests; that a test of that name exists, test_docs.py makes sure of."""
    tables = re.findall(
        r"^\|[^\n]*\| (?:test|shown by) \|\n\|[-|]+\|\n((?:\|[^\n]*\n)+)",
        (CHECKOUT / page).read_text("utf-8"),
        re.MULTILINE,
    )
    rows = [row for table in tables for row in table.splitlines()]
    assert len(rows) >= 10
    width = {row.count(" | ") for row in rows}
    assert len(width) == 1, "a row has another number of cells"
    assert [row for row in rows if not NAMED.search(row.rpartition(" | ")[2])] == []
