"""Scope: the tests themselves: none that cannot fail, and none whose assertions may never be reached."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path for folder in ("unit", "simulated", "wire") for path in (ROOT / folder).rglob("test_*.py")
)
NEVER_EMPTY = frozenset({"count", "enumerate", "permutations", "range", "zip"})
"""What makes a collection of what is written down in the test."""


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the tests of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield node


def is_written_down(collection: ast.expr, test: ast.AST) -> bool:
    """Tell whether a collection is a literal, or made of one, in the test itself."""
    match collection:
        case ast.Tuple(elts) | ast.List(elts) | ast.Set(elts):
            return bool(elts)
        case ast.Dict(keys):
            return bool(keys)
        case ast.Call(func=ast.Name(name) | ast.Attribute(attr=name)) if name in NEVER_EMPTY:
            return True
        case ast.Call(func=ast.Attribute(value=inner, attr="items" | "values" | "keys")):
            return is_written_down(inner, test)
        case ast.Name(name):
            values = [
                node.value
                for node in ast.walk(test)
                if isinstance(node, ast.Assign)
                and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
            ]
            return bool(values) and all(
                not isinstance(value, ast.Name) and is_written_down(value, test) for value in values
            )
    return False


def checks(node: ast.AST, loop: ast.AST | None, test: ast.AST) -> Iterator[ast.AST | None]:
    """Yield for each check below a node the loop that it is in, if that may have nothing to loop over."""
    for child in ast.iter_child_nodes(node):
        inner = loop
        if isinstance(child, ast.For | ast.AsyncFor) and not is_written_down(child.iter, test):
            inner = loop or child
        called = child.func if isinstance(child, ast.Call) else None
        name = (
            called.attr
            if isinstance(called, ast.Attribute)
            else called.id
            if isinstance(called, ast.Name)
            else ""
        )
        if isinstance(child, ast.Assert) or name in ("raises", "until") or name.startswith("assert_"):
            yield inner
        yield from checks(child, inner, test)


def unreached(test: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Return the loop that all checks of a test are in, if there may be nothing to loop over; empty: none."""
    if any("given" in ast.unparse(each) for each in test.decorator_list):
        return ""  # Hypothesis comes with what there is to loop over
    loops = list(checks(test, None, test))
    if not loops or not all(loops):
        return ""
    loop = next(each for each in loops if isinstance(each, ast.For | ast.AsyncFor))
    return f"for … in {ast.unparse(loop.iter)}"


def idle(test: ast.AST) -> Iterator[int]:
    """Yield the lines of assertions that nothing can fail: of a constant, of a tuple."""
    for node in ast.walk(test):
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant | ast.Tuple | ast.JoinedStr):
            yield node.lineno


def wide(test: ast.AST) -> Iterator[int]:
    """Yield the lines that take any error for the one that was meant."""
    for node in ast.walk(test):
        for item in node.items if isinstance(node, ast.With | ast.AsyncWith) else ():
            call = item.context_expr
            if (
                isinstance(call, ast.Call)
                and ast.unparse(call.func) == "pytest.raises"
                and ast.unparse(call.args[0]) in ("Exception", "BaseException", "EventdError", "OSError")
                and not call.keywords
                and item.optional_vars is None
            ):
                yield node.lineno  # type: ignore[attr-defined]  # a with statement has one


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_of_a_file_can_fail(path: Path) -> None:
    """Collections that checks loop over are checked not to be empty; errors are looked at, or of one kind."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [
        f"{test.name}: checks nothing without {text}" for test in functions(tree) if (text := unreached(test))
    ]
    found += [f"line {line}: an assertion that cannot fail" for line in idle(tree)]
    found += [f"line {line}: look at the error (`as`, `match`)" for line in wide(tree)]
    assert found == []


@pytest.mark.parametrize(
    ("body", "finds"),
    [
        ("for x in found():\n  assert x", True),
        ("assert found()\n for x in found():\n  assert x", False),
        ("for x in (1, 2):\n  assert x", False),
        ("for x in ():\n  assert x", True),
        ("rows = [1]\n for x in rows:\n  assert x", False),
        ("rows = found()\n for x in rows:\n  for y in (1, 2):\n   assert x", True),
        ("assert True", True),
        ("assert (f() == 1, 'text')", True),
        ("with pytest.raises(Exception):\n  f()", True),
        ("with pytest.raises(Exception) as error:\n  f()", False),
        ("with pytest.raises(ValueError):\n  f()", False),
    ],
)
def test_the_scan_finds_what_cannot_fail(body: str, *, finds: bool) -> None:
    """Each way of it, and not what is like it."""
    tree = ast.parse(f"def test_it():\n {body}\n")
    (test,) = functions(tree)
    assert bool(unreached(test) or list(idle(tree)) or list(wide(tree))) is finds
