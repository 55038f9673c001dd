"""Scope: the scripts that tests and benchmarks hand to a host as text: no linter reads them, so names in them rot."""

from __future__ import annotations

import ast
import builtins
import importlib
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docs.docs_pages import ROOT

FILES = [path for folder in ("tests/host", "benchmarks") for path in sorted((ROOT / folder).rglob("*.py"))]
PUT_IN = {"WEB_UID"}
"""Placeholders, which are put in before a script is run."""
IMPORTS = (ast.Import, ast.ImportFrom)


def scripts(path: Path) -> list[ast.Module]:
    """Return the texts of a file that are Python, if one of them imports something; they are put together when run."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    found = [tree for text in texts if (tree := _parsed(text)) is not None]
    if any(isinstance(node, IMPORTS) for tree in found for node in ast.walk(tree)):
        return found
    return []


def _parsed(text: str) -> ast.Module | None:
    if "import " not in text and "def " not in text:
        return None
    try:
        tree = ast.parse(textwrap.dedent(text))
    except (SyntaxError, ValueError):
        return None
    wanted = (*IMPORTS, ast.FunctionDef, ast.AsyncFunctionDef)
    return tree if any(isinstance(node, wanted) for node in ast.walk(tree)) else None


def _names(trees: list[ast.Module], context: type[ast.expr_context]) -> set[str]:
    nodes = [node for tree in trees for node in ast.walk(tree)]
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, context)}


def _bound(trees: list[ast.Module]) -> Iterator[str]:
    yield from _names(trees, ast.Store)
    for node in (node for tree in trees for node in ast.walk(tree)):
        match node:
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((each.asname or each.name).partition(".")[0] for each in names)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.ExceptHandler(name=str(name)):
                yield name
            case _:
                pass


def _imported(trees: list[ast.Module]) -> Iterator[tuple[str, object]]:
    """Yield what the scripts import of eventd, by the name that it has in them; raises what a wrong import raises."""
    for node in (node for tree in trees for node in ast.walk(tree)):
        match node:
            case ast.Import(names=names):
                for each in names:
                    if each.name.startswith("eventd"):
                        importlib.import_module(each.name)
            case ast.ImportFrom(module=str(module), names=names) if module.startswith("eventd"):
                owner = importlib.import_module(module)
                for each in names:
                    if not hasattr(owner, each.name):
                        importlib.import_module(f"{module}.{each.name}")
                    yield each.asname or each.name, getattr(owner, each.name)
            case _:
                pass


@pytest.mark.parametrize(
    "path", [path for path in FILES if scripts(path)], ids=lambda path: str(path.relative_to(ROOT))
)
def test_what_a_script_names_exists(path: Path) -> None:
    """Whatever it imports of eventd, whatever it takes from that, and every other name in it."""
    trees = scripts(path)
    imported = dict(_imported(trees))
    missing = _names(trees, ast.Load) - set(_bound(trees)) - set(dir(builtins)) - PUT_IN
    missing |= {
        f"{node.value.id}.{node.attr}"
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in imported
        and not hasattr(imported[node.value.id], node.attr)
    }
    assert missing == set()


def test_there_are_scripts() -> None:
    """The test above sees those of the host's adapters."""
    assert {"test_dbus_real.py", "test_local_adapters.py"} <= {path.name for path in FILES if scripts(path)}
