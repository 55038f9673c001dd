"""What the generated pages have in common: the line at their top, and the words of the code as sentences."""

# ruff: noqa: INP001  a script's

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from enum import StrEnum

MADE = "<!-- Made by `make docs`; a test fails when it is out of date. -->"


def docstrings(owner: type) -> dict[str, str]:
    """Return the text below each assignment of a class, by its name."""
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(body, ast.ClassDef)
    found = {}
    for before, after in zip(body.body, body.body[1:], strict=False):
        target = before.targets[0] if isinstance(before, ast.Assign) else getattr(before, "target", None)
        if not isinstance(target, ast.Name) or not isinstance(after, ast.Expr):
            continue
        if isinstance(after.value, ast.Constant) and isinstance(after.value.value, str):
            found[target.id] = inspect.cleandoc(after.value.value).replace("\n", " ")
    return found


def sentence(text: str) -> str:
    """Return a text as a sentence in a table: a capital, a full stop, no bare `|`."""
    text = text.replace("|", "\\|")
    text = text if text.startswith(("https:", "eventd")) else text[:1].upper() + text[1:]
    return text if not text or text.endswith(".") else f"{text}."


def members(*owners: type[StrEnum]) -> Iterator[str]:
    """Yield a row for each member of enumerations, with its docstring."""
    for owner in owners:
        said = docstrings(owner)
        for each in owner:
            yield f"| `{each}` | {sentence(said.get(each.name, ''))} |"
