"""docs/explanation/matrix.md is of this code: it names a commit of this history, and the tests that there are.

It is not made anew with each commit; how old it is, its commit says.
"""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

from tests.host.evidence import AGAIN

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs/explanation/matrix.md"
ROW = re.compile(
    r"^\| (T\d\d) \| ([^|]+) \| .* \| (\w+) \| [\d.]+ \| \d+ \| `(\w+)(?:\[.*\])?` \|$", re.MULTILINE
)


def git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", ROOT, *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_it_names_tests_that_there_are_and_all_twelve_passed() -> None:
    """Of a test that was renamed or removed since it would be evidence of nothing: the page is made anew."""
    tree = ast.parse((ROOT / "tests/host/test_matrix.py").read_text())
    there = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }
    rows = ROW.findall(PAGE.read_text())
    assert {name for *_, name in rows} <= there, "make matrix"
    assert {number for number, *_ in rows} == {f"T{number:02}" for number in range(1, 13)}
    assert {verdict for _, _, verdict, _ in rows} == {"PASS"}


def test_its_commit_is_in_this_history() -> None:
    """And it was made of what is committed there, with nothing beside it."""
    found = re.search(r"^Commit `([0-9a-f]{40})`, \d{4}-\d\d-\d\d ", PAGE.read_text(), re.MULTILINE)
    assert found, "it was made of a checkout with changes that were not committed"
    if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("not a whole clone: its history cannot be asked")
    assert git("merge-base", "--is-ancestor", found[1], "HEAD").returncode == 0, "no commit of this history"


def test_it_says_how_it_is_made_anew() -> None:
    """In the words of what makes it; with a target that the Makefile has."""
    assert "\n".join(AGAIN) in PAGE.read_text()
    assert re.search(r"^matrix:", (ROOT / "Makefile").read_text(), re.MULTILINE)
