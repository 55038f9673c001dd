"""Scope: docs/reference/cli.md is what the parser says."""

from __future__ import annotations

from pathlib import Path

from eventd.cli import reference

DOCUMENT = Path(__file__).parents[3] / "docs/reference/cli.md"


def test_the_reference_is_up_to_date() -> None:
    """`python -m eventd.cli.reference > docs/reference/cli.md` after a change of the command line."""
    assert DOCUMENT.read_text(encoding="utf-8").splitlines() == list(reference.lines())
