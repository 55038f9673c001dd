"""Scope: what the documentation points to is there: files, headings, make targets. test_docs_names.py: the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from eventd.doctor import commands_checks as doctor
from eventd.domains import tables
from eventd.settings import live_keys, model
from tests.unit.docs.docs_pages import ROOT as CHECKOUT
from tests.unit.docs.docs_pages import anchors, paths, prose

PAGES = paths()


def dead_links(page: Path, text: str) -> list[str]:
    """Return the links of a page that lead nowhere: to no file of the checkout, or to no heading in it."""
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = CHECKOUT / page.parent / path if path else CHECKOUT / page
        missing = not target.exists()
        if missing or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            dead.append(link)
    return dead


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file of the checkout, and a heading in it."""
    assert dead_links(page, (CHECKOUT / page).read_text(encoding="utf-8")) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    """To a file that is gone, and to a heading that is called otherwise by now."""
    page = Path("docs/README.md")
    assert dead_links(page, "[x](nowhere.md) [y](explanation/seeds.md#nothing)") == [
        "nowhere.md",
        "explanation/seeds.md#nothing",
    ]
    assert dead_links(page, "[z](explanation/seeds.md) [home](https://example.org/#x)") == []


def test_every_invariant_says_what_holds_it() -> None:
    """Ten rows, each with nothing but tests; that these exist, test_docs_names.py makes sure of."""
    text = (CHECKOUT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| .* \| (.+) \|$", text, re.MULTILINE)
    assert [number for number, _ in rows] == [str(n) for n in range(1, 11)]
    only_tests = re.compile(r"`tests/[\w/]+\.py::test_\w+`(?:, `tests/[\w/]+\.py::test_\w+`)*")
    assert [number for number, held in rows if not only_tests.fullmatch(held)] == []


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


def test_each_dependency_has_its_reason() -> None:
    """What pyproject.toml makes a host install stands in the decision about libraries."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split(r"[<>=\[]", each)[0] for each in project["dependencies"]}
    text = (CHECKOUT / "docs/adr/0001-libraries.md").read_text(encoding="utf-8")
    assert [name for name in sorted(names) if name not in text] == []


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/install.md"])
def test_the_oldest_versions_are_those_that_doctor_accepts(page: str) -> None:
    """Of systemd, podman and git; of Python, the one that the package asks for."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = {
        name: ".".join(map(str, version)).removesuffix(".0")
        for name, version in {"systemd": doctor.SYSTEMD, "podman": doctor.PODMAN, "git": doctor.GIT}.items()
    } | {"Python": project["requires-python"].removeprefix(">=")}
    text = (CHECKOUT / page).read_text(encoding="utf-8")
    said = dict(re.findall(r"\b(systemd|podman|git|Python) (\d+(?:\.\d+)?) or newer", text))
    assert said == oldest


def test_a_reload_applies_what_the_reference_says() -> None:
    """The tables that are in force at once are settings, and the page names each of them."""
    text = (CHECKOUT / "docs/reference/configuration.md").read_text(encoding="utf-8")
    (sentence,) = re.findall(r"A change of (.*?) is applied", text, re.DOTALL)
    assert (
        set(re.findall(r"\w+", sentence))
        == set(live_keys(model(tables())))
        == {
            "host",
            "defaults",
            "update",
            "provenance",
            "log_level",
        }
    )
