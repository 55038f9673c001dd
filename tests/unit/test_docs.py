"""Scope: what the documentation points to is there: files, headings, tests, make targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(CHECKOUT)
    for folder in (
        CHECKOUT.glob("*.md"),
        (CHECKOUT / "docs").rglob("*.md"),
        (CHECKOUT / "examples").rglob("*.md"),
    )
    for path in folder
)


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return what headings can be linked as, by the rule of the forges."""
    titles = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file of the checkout, and a heading in it."""
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = CHECKOUT / page.parent / path if path else CHECKOUT / page
        missing = not target.exists()
        if missing or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            dead.append(link)
    assert dead == []


def test_every_test_that_a_page_names_exists() -> None:
    """`tests/…/test_x.py::test_y` in a page is a test."""
    gone = []
    for page in PAGES:
        for path, name in re.findall(
            r"`(tests/[\w/]+\.py)::(\w+)`", (CHECKOUT / page).read_text(encoding="utf-8")
        ):
            file = CHECKOUT / path
            if not file.exists() or not re.search(rf"^(async )?def {name}\b", file.read_text(), re.MULTILINE):
                gone.append(f"{page}: {path}::{name}")
    assert gone == []


def test_every_invariant_says_what_holds_it() -> None:
    """Ten rows, each with a test or a plain "not yet"."""
    text = (CHECKOUT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| .* \| (.+) \|$", text, re.MULTILINE)
    assert [number for number, _ in rows] == [str(n) for n in range(1, 11)]
    assert all("::test_" in held for _, held in rows)


def test_every_make_target_that_a_page_names_exists() -> None:
    """`make x` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))
    named = set()
    for page in PAGES:
        text = (CHECKOUT / page).read_text(encoding="utf-8")
        named |= set(re.findall(r"(?:`|^|sudo )make ([a-z-]+)", text, re.MULTILINE))
    assert {"demo", "test"} <= named
    assert named <= targets


def test_every_page_is_reachable_from_the_readme() -> None:
    """Nobody has to guess what a page is called."""
    seen: set[Path] = set()
    todo = [Path("README.md")]
    while todo:
        page = todo.pop()
        if page in seen or not (CHECKOUT / page).is_file():
            continue
        seen.add(page)
        if page.suffix == ".md":
            links = re.findall(r"\]\(([^)#\s:]+)", prose((CHECKOUT / page).read_text(encoding="utf-8")))
            todo += [((CHECKOUT / page.parent / link).resolve()).relative_to(CHECKOUT) for link in links]
    documents = {page for page in PAGES if page.parts[0] == "docs" and page.name != "README.md"}
    assert documents <= seen
