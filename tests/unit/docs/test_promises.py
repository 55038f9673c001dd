"""Scope: no page says of something that is there that it is still to come.

A promise is one of the words of `PROMISE`. Its line has to name what is absent, in a comment that the forges do not
show: `<!-- absent: folder eventd/nowhere -->`, or `command`, `route`, `setting`, `metric`, `name` instead of `folder`.
Once that exists, the page is out of date and the build fails.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from eventd.cli.commands import COMMANDS
from tests.unit.docs import docs_code as code
from tests.unit.docs.docs_pages import paths, prose, text_of

PROMISE = re.compile(
    r"\bnot (?:there |implemented |written )?yet\b(?=\s*(?:[.:;,|]|$))|\bplanned:|\bTODO\b|\bFIXME\b|\bstill to come\b"
    r"|\bcoming soon\b|\bnot implemented\b|\bare no \w+ yet\b",
    re.IGNORECASE,
)
MARKER = re.compile(r"<!-- absent: (\w+) (.+?) -->")
EXISTS: Mapping[str, Callable[[str], bool]] = {
    "folder": code.is_path,
    "command": lambda name: name in {command.name for command in COMMANDS},
    "route": lambda text: code.is_route(*text.split()),
    "setting": lambda text: code.is_key(*text.split(".")),
    "metric": lambda name: name in code.metrics(),
    "name": lambda text: code.has_name(*text.split(":")),
}


def problems(text: str) -> list[str]:
    """Return the promises of a page that name nothing, and those of which the thing is there."""
    found = []
    for line in prose(text).splitlines():
        markers = MARKER.findall(line)
        if PROMISE.search(line) and not markers:
            found.append(f"it does not name what is absent: {line[:100]}")
        found += [f"there is a {kind} {name}" for kind, name in markers if EXISTS[kind](name)]
    return found


@pytest.mark.parametrize("page", paths(), ids=str)
def test_a_page_promises_only_what_is_absent(page: Path) -> None:
    """What has come is described, not announced."""
    assert problems(text_of(page)) == []


@pytest.mark.parametrize(
    "text",
    [
        "| 4 | what others own | `a test`. Not yet: a person protects it |",
        "A check of all code: not yet",
        "TODO: describe it",
        "planned: a picture <!-- absent: folder eventd/api -->",
        "planned: a picture <!-- absent: command status -->",
        "planned: a picture <!-- absent: route GET /v1/status -->",
        "planned: a picture <!-- absent: setting api.group -->",
        "planned: a picture <!-- absent: metric eventd_runs_total -->",
        "planned: a picture <!-- absent: name eventd/settings.py:load -->",
    ],
)
def test_a_promise_of_what_is_there_is_found(text: str) -> None:
    """With a marker that is out of date, and without any."""
    assert problems(text)


def test_a_promise_of_what_is_absent_and_plain_words_pass() -> None:
    """A page may say what is missing, and may use the words otherwise."""
    assert problems("planned: a picture <!-- absent: folder eventd/nowhere -->") == []
    assert problems("an account that was made but not yet written down; the steps that were planned") == []
