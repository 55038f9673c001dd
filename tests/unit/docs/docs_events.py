"""Which attributes each kind of event is sent with, read from the calls that send it.

A call counts that has a member of a kinds' enumeration among its arguments (`KernelEvent.GAP`) and `attributes=`: a
dictionary that is written there, or the names' values of one that the function has written before.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from tests.unit.docs import docs_code

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def sent(trees: Iterable[ast.AST]) -> Mapping[str, frozenset[str]]:
    """Return the attributes by kind: `KernelEvent.GAP` -> reason, error."""
    found: dict[str, set[str]] = defaultdict(set)
    for tree in trees:
        for function in (node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)):
            for call in (node for node in ast.walk(function) if isinstance(node, ast.Call)):
                names = {key for value in _attributes(call) for key in _keys(value, function)}
                for kind in _kinds(call):
                    found[kind] |= names
    return {kind: frozenset(names) for kind, names in found.items()}


def product() -> Mapping[str, frozenset[str]]:
    """Return those of the daemon."""
    return sent(docs_code.product().values())


def _attributes(call: ast.Call) -> Iterator[ast.expr]:
    yield from (keyword.value for keyword in call.keywords if keyword.arg == "attributes")


def _kinds(call: ast.Call) -> Iterator[str]:
    for argument in call.args:
        for node in ast.walk(argument):
            match node:
                case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner.endswith("Event"):
                    yield f"{owner}.{name}"
                case _:
                    pass


def _keys(value: ast.expr, function: ast.AST) -> Iterator[str]:
    """Yield the keys of each dictionary that an expression can be."""
    for node in ast.walk(value):
        match node:
            case ast.Dict(keys=keys):
                yield from (
                    key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)
                )
            case ast.Name(id=name):
                for other in ast.walk(function):
                    yield from _written(other, name)
            case _:
                pass


def _written(node: ast.AST, name: str) -> Iterator[str]:
    match node:
        case ast.Assign(targets=[ast.Name(id=target)], value=ast.Dict() as value) if target == name:
            yield from _keys(value, ast.Pass())
        case ast.AnnAssign(target=ast.Name(id=target), value=ast.Dict() as value) if target == name:
            yield from _keys(value, ast.Pass())
        case ast.Assign(
            targets=[ast.Subscript(value=ast.Name(id=target), slice=ast.Constant(value=str(key)))]
        ) if target == name:
            yield key
        case _:
            pass
