"""Every reason that the product can give, found in its source: whatever is passed, assigned or returned as one.

A reason is a `reason` or `code` that is a kebab-case text: as a keyword, as an argument in that place of any
function or dataclass that has such a parameter, as its default, as the value of a name or of a key that ends so, or as
an element in that place of a tuple that is unpacked or declared as one. Names of constants are followed into the module
that they come from. What is put together at run time is found as a pattern: `{name}-unavailable` is `*-unavailable`.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT = Path(__file__).parents[3]
PACKAGES = {"eventd": ROOT, "eventd_handlers": ROOT / "handlers", "eventd_policies": ROOT / "policies"}
WORD = re.compile(r"[a-z0-9*]+(-[a-z0-9*]+)*")
NAMES = ("reason", "code")


def _is_reason(name: str) -> bool:
    return name.lower().lstrip("_").split("_")[-1] in NAMES


def product() -> dict[str, str]:
    """Return the source of each module of the product."""
    return {
        ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__"): path.read_text(
            encoding="utf-8"
        )
        for package, folder in PACKAGES.items()
        for path in sorted((folder / package).rglob("*.py"))
    }


class Source:
    """Modules by name, parsed; without any, those of the product."""

    def __init__(self, modules: Mapping[str, str] | None = None) -> None:
        modules = product() if modules is None else modules
        self.trees = {name: ast.parse(text) for name, text in modules.items()}
        self.nodes = {module: [*filter(_matters, ast.walk(tree))] for module, tree in self.trees.items()}
        self.constants = {module: dict(_constants(tree)) for module, tree in self.trees.items()}
        self.imports = {module: dict(_imports(nodes)) for module, nodes in self.nodes.items()}
        self.places: dict[str, set[int]] = defaultdict(set)
        """Function or class -> in which places its reasons stand."""
        self.returned: dict[str, set[int]] = defaultdict(set)
        """Function -> in which places of the tuple that it returns."""
        self.functions = [
            (module, node, [*filter(_matters, ast.walk(node))])
            for module, nodes in self.nodes.items()
            for node in nodes
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        self.inner = {node: inner for _, node, inner in self.functions}
        for nodes in self.nodes.values():
            for node in nodes:
                self._declared(node)
        for _ in range(3):  # what is returned may be what another one returned
            for module, function, inner in self.functions:
                self._unpacked(function.name, inner, module)

    def _declared(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name != "__init__":
            names = [each.arg for each in (*node.args.posonlyargs, *node.args.args)]
            method = names[:1] in (["self"], ["cls"])
            _note(self.places[f".{node.name}" if method else node.name], names[1:] if method else names)
        elif isinstance(node, ast.ClassDef):
            fields = [
                b.target.id
                for b in node.body
                if isinstance(b, ast.AnnAssign) and isinstance(b.target, ast.Name)
            ]
            _note(self.places[node.name], fields)
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                    _note(self.places[node.name], [each.arg for each in inner.args.args][1:])

    def _called(self, node: ast.Call, module: str) -> str:
        """Return what `places` calls it: a method with a dot before its name."""
        match node.func:
            case ast.Name(id=name):
                return name
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in self.imports[module]:
                return name
            case ast.Attribute(attr=name):
                return f".{name}"
            case _:
                return ""

    def _unpacked(self, function: str, inner: list[ast.AST], module: str) -> None:
        """Note what a function returns that is taken apart: `reason, message = f()`, or by way of one name."""
        came_from: dict[str, str] = {}
        for each in inner:
            match each:
                case ast.NamedExpr(target=ast.Name(id=name), value=ast.Call() as call):
                    came_from[name] = self._called(call, module)
                case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() as call):
                    came_from[name] = self._called(call, module)
                case _:
                    pass
        for each in inner:
            match each:
                case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Call() as call):
                    _note(self.returned[self._called(call, module)], [getattr(t, "id", "") for t in targets])
                case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Name(id=name)) if (
                    name in came_from
                ):
                    _note(self.returned[came_from[name]], [getattr(t, "id", "") for t in targets])
                case ast.Call(args=arguments):
                    for place in self.places.get(self._called(each, module), ()):
                        match arguments[place : place + 1]:
                            case [ast.Subscript(value=ast.Name(id=name), slice=ast.Constant(value=int(at)))]:
                                self.returned[came_from.get(name, "")].add(at)
                            case _:
                                pass
                case ast.Return(value=ast.Name(id=name)) if name in came_from:
                    self.returned[came_from[name]] |= self.returned.get(function, set())
                case _:
                    pass

    def texts(self, node: ast.AST | None, module: str) -> Iterator[str]:
        """Yield the texts that an expression can be."""
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)
            case ast.IfExp(body=one, orelse=two):
                yield from self.texts(one, module)
                yield from self.texts(two, module)
            case ast.BoolOp(values=parts):
                for part in parts:
                    yield from self.texts(part, module)
            case ast.Dict(values=parts):
                for part in parts:
                    yield from self.texts(part, module)
            case ast.Call(func=ast.Attribute(attr="get", value=ast.Name(id=name)), args=[_, *rest]):
                yield from self.texts(ast.Name(id=name), module)
                for part in rest:
                    yield from self.texts(part, module)
            case ast.Name(id=name):
                if name in self.constants[module]:
                    yield from self.texts(self.constants[module][name], module)
                elif name in self.imports[module]:
                    other, original = self.imports[module][name]
                    if original in self.constants.get(other, {}):
                        yield from self.texts(self.constants[other][original], other)
            case ast.Attribute(value=ast.Name(id=owner), attr=attribute) if owner in self.imports[module]:
                other = ".".join(part for part in self.imports[module][owner] if part)
                if attribute in self.constants.get(other, {}):
                    yield from self.texts(self.constants[other][attribute], other)
            case _:
                pass

    def reasons(self) -> dict[str, list[str]]:
        """Return each reason, and where it is given."""
        found: dict[str, list[str]] = defaultdict(list)
        for module, nodes in self.nodes.items():
            for node in nodes:
                for expression in self._given(node, module):
                    for text in self.texts(expression, module):
                        if WORD.fullmatch(text):
                            found[text].append(f"{module}:{getattr(expression, 'lineno', 0)}")
        return dict(found)

    def _given(self, node: ast.AST, module: str) -> Iterator[ast.expr]:
        """Yield the expressions that are reasons, of one node."""
        match node:
            case ast.keyword(arg=str(name), value=value) if _is_reason(name):
                yield value
            case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)], value=value) if (
                _is_reason(name)
            ):
                yield value
            case ast.AnnAssign(
                target=ast.Name(id=name) | ast.Attribute(attr=name), value=ast.expr() as value
            ) if _is_reason(name):
                yield value
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                for target, value in zip(targets, values, strict=False):
                    if _is_reason(getattr(target, "id", "")):
                        yield value
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and key.value in NAMES:
                        yield value
            case ast.Call():
                for place in self.places.get(self._called(node, module), ()):
                    if place < len(node.args):
                        yield node.args[place]
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _defaults(node)
                yield from _listed(self.inner[node])
                for place in self.returned.get(node.name, ()):
                    for inner in ast.walk(node):
                        if isinstance(inner, ast.Return | ast.Yield) and isinstance(inner.value, ast.Tuple):
                            yield from inner.value.elts[place : place + 1]
            case ast.ClassDef(name=name, body=body) if _is_reason(name):  # an enumeration of them
                for inner in body:
                    match inner:
                        case ast.Assign(value=ast.Constant(value=str()) as value):
                            yield value
                        case ast.Assign(targets=[ast.Name(id=member)], value=ast.Constant(value=int())):
                            yield ast.Constant(
                                member.lower().replace("_", "-"), lineno=inner.lineno, col_offset=0
                            )
                        case _:
                            pass
            case _:
                pass


_KINDS = (
    *(ast.keyword, ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.Dict, ast.Call, ast.comprehension),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Return, ast.Yield, ast.ImportFrom),
)


def _matters(node: ast.AST) -> bool:
    return isinstance(node, _KINDS)


def _note(places: set[int], names: list[str]) -> None:
    places.update(index for index, name in enumerate(names) if name in NAMES)


def _listed(inner: list[ast.AST]) -> Iterator[ast.expr]:
    """Yield the reasons of a table that a function goes through: `for code, message in checks`."""
    tables = {
        target.id: each.value.elts
        for each in inner
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Tuple)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    for each in inner:
        match each:
            case ast.comprehension(target=ast.Tuple(elts=targets), iter=ast.Name(id=name)) if name in tables:
                for place, target in enumerate(targets):
                    if getattr(target, "id", "") in NAMES:
                        yield from (row.elts[place] for row in tables[name] if isinstance(row, ast.Tuple))
            case _:
                pass


def _defaults(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.expr]:
    plain = [*node.args.posonlyargs, *node.args.args]
    pairs: list[tuple[ast.arg, ast.expr | None]] = [
        *zip(plain[len(plain) - len(node.args.defaults) :], node.args.defaults, strict=True),
        *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
    ]
    for argument, value in pairs:
        if argument.arg in NAMES and value is not None:
            yield value


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in tree.body:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    yield target.id, node.value
                elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = zip(target.elts, node.value.elts, strict=True)
                    yield from ((each.id, value) for each, value in pairs if isinstance(each, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value


def _imports(nodes: list[ast.AST]) -> Iterator[tuple[str, tuple[str, str]]]:
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            for each in node.names:
                yield each.asname or each.name, (node.module, each.name)
