"""Scope: whatever a page names of the code exists: routes, metrics, settings, paths, functions, units, words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.docs.docs_checks import CHECKS, Check
from tests.unit.docs.docs_pages import paths, text_of


@pytest.mark.parametrize("page", paths(), ids=str)
def test_what_a_page_names_exists(page: Path) -> None:
    """Documentation that contradicts the code is a failed build."""
    text = text_of(page)
    gone = {check.name: found for check in CHECKS if (found := check.gone(text))}
    assert gone == {}, page


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_each_check_finds_what_is_wrong_and_passes_what_is_right(check: Check) -> None:
    """A check that finds nothing in a wrong page would be no check."""
    assert check.gone(check.wrong)
    assert not check.gone(check.right)


def test_each_check_has_something_to_look_at() -> None:
    """All pages together name something of every kind; a pattern that fits nothing any more is a fault."""
    everything = "\n".join(map(text_of, paths()))
    assert [check.name for check in CHECKS if not list(check.find(everything)) and check.right] == []
