"""Scope: the pages of docs/ that are made from the code are what the code says now."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[3] / "docs"
PAGES = (
    "explanation/architecture.md",
    "reference/api.md",
    "reference/configuration.md",
    "reference/metrics.md",
    "reference/events.md",
    "adr/README.md",
)


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """docs/generate.py, which is in no package."""
    specification = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES)
def test_the_page_is_up_to_date(generate: ModuleType, page: str) -> None:
    """Run `make docs` after a change of a setting, a metric or a kind of event, and for a new ADR."""
    assert (DOCS / page).read_text(encoding="utf-8") == generate.made(page)


def test_every_setting_metric_and_kind_of_event_says_what_it_is(generate: ModuleType) -> None:
    """No cell for a description is empty; a new package says what it is in its docstring."""
    pages = "".join(generate.made(page) for page in PAGES)
    rows = [line for line in pages.splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert [row for row in rows if row.endswith("|  |")] == []
