"""Objects are whole when they are made, and nobody reaches through one: read from the code itself.

A *part* is an object that does something: of a controller, source, adapter or route module, of the kernel, a port, or
the engine with its queries and commands. Models, plans, settings and documents are data, of any depth.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
PACKAGES = ("eventd", "handlers/eventd_handlers", "policies/eventd_policies")
FARTHEST = 2
"""Parts that may be named one after the other: `self.runs.agenda`, `api.queries.problems`."""
TOGETHER = ("eventd.engine", "eventd.composition")
"""They put the parts together, and know all of them."""
PART_ROLES = ("controller", "source", "adapter", "routes", "process", "ports")
TOP = (
    "eventd.engine",
    "eventd.queries",
    "eventd.commands",
    "eventd.composition",
    "eventd.port_set",
    "eventd.daemon",
)
WRITTEN_BY_OTHERS = {
    (
        "eventd.kernel.controller",
        "Turn",
    ): "each controller of a subject adds what its part of the turn came to",
    ("eventd.kernel.queue", "Batch"): "what a run has to answer, which grows while it is on",
    ("eventd.kernel.queue", "RunHandle"): "the run answers it, and its owner says when nobody waits any more",
    ("eventd.kernel.transaction", "BaseTransaction"): "the steps of one turn tell each other through it",
    ("eventd.workloads.controller_transaction", "Transaction"): "the same, of a workload's turn",
    (
        "eventd.kernel.status_store",
        "Record",
    ): "a row of the status store; its views, failures and holds, write it",
    ("eventd.kernel.status_store", "Failure"): "the same",
    ("eventd.kernel.status_store", "Held"): "the same",
    (
        "eventd.kernel.model.report",
        "WorkloadStatus",
    ): "a row that the status board and the turn keep up to date",
    ("eventd.workloads.model_records", "Records"): "the inventory's memory, which nobody else changes",
    (
        "eventd.boot.controller_record",
        "Observations",
    ): "what the boot log has observed, from which the record is made",
    ("eventd.boot.controller_record", "Timeline"): "the same, of a workload",
    ("eventd.boot.controller_record", "ObservedFact"): "the same, of a fact",
    ("eventd.webhook.process_connections", "Held"): "a connection, whose phase its protocol tells",
}
"""Classes whose fields modules other than their own set, each with the reason."""
FOREIGN = {"__name__", "__cause__", "restype", "argtypes", "sync_timeout", "usage", "words", "greeting"}
"""Fields of what is not eventd's: Python's, ctypes', argparse's, asyncinotify's and dbus-fast's."""

Key = tuple[str, str]
"""The module and the name of a class."""


@dataclass
class Module:
    """One file, parsed."""

    name: str
    tree: ast.Module
    names: dict[str, Key] = field(default_factory=dict)
    """What its names of classes stand for."""


@dataclass
class Class:
    """One class: where it is from, and the classes of its fields as far as they are written down."""

    module: Module
    bases: list[Key]
    fields: dict[str, ast.expr | Key | None]


def is_part(key: Key) -> bool:
    """Tell whether objects of a class do something, by the role of its module."""
    parts = key[0].split(".")
    if key[0] in TOP:
        return True
    if parts[:2] == ["eventd", "kernel"]:
        return parts[2:3] != ["model"] and "model" not in parts
    return parts[-1].split("_")[0] in PART_ROLES


@functools.cache
def modules() -> dict[str, Module]:
    """Parse everything."""
    found = {}
    for package in PACKAGES:
        folder = ROOT / package
        for path in sorted(folder.rglob("*.py")):
            name = ".".join((folder.name, *path.relative_to(folder).with_suffix("").parts))
            name = name.removesuffix(".__init__")
            module = found[name] = Module(name, ast.parse(path.read_text()))
            for node in module.tree.body:
                if isinstance(node, ast.ImportFrom) and node.module:
                    for alias in node.names:
                        module.names[alias.asname or alias.name] = (node.module, alias.name)
                elif isinstance(node, ast.ClassDef):
                    module.names[node.name] = (name, node.name)
    return found


@functools.cache
def classes() -> dict[Key, Class]:
    """Return every class at the top of a module."""
    return {
        (module.name, node.name): _class(module, node)
        for module in modules().values()
        for node in module.tree.body
        if isinstance(node, ast.ClassDef)
    }


def _class(module: Module, node: ast.ClassDef) -> Class:
    bases = [
        module.names[base.id] for base in node.bases if isinstance(base, ast.Name) and base.id in module.names
    ]
    found = Class(module, bases, {})
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            found.fields[each.target.id] = each.annotation
        elif isinstance(each, ast.FunctionDef) and any(_is_property(d) for d in each.decorator_list):
            found.fields[each.name] = each.returns
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            given = {arg.arg: arg.annotation for arg in _arguments(each)}
            for statement in ast.walk(each):
                for name, value in _set_on_self(statement):
                    found.fields.setdefault(name, _made(module, value, given))
    return found


def _is_property(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "property"


def _arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def _set_on_self(node: ast.AST) -> Iterator[tuple[str, ast.expr | None]]:
    if isinstance(node, ast.AnnAssign):
        pairs: list[tuple[ast.expr, ast.expr | None]] = [(node.target, node.annotation)]
    elif isinstance(node, ast.Assign):
        pairs = [pair for target in node.targets for pair in _pairs(target, node.value)]
    else:
        return
    for target, value in pairs:
        if (
            isinstance(target, ast.Attribute)
            and isinstance(target.value, ast.Name)
            and target.value.id == "self"
        ):
            yield target.attr, value


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr | None]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(each, None) for each in target.elts] if isinstance(target, ast.Tuple) else [(target, value)]


def _made(module: Module, value: ast.expr | None, given: dict[str, ast.expr | None]) -> ast.expr | Key | None:
    """Return the class of what a field is set to: an argument, or something that is made there."""
    if isinstance(value, ast.Name) and value.id in given:
        return given[value.id]
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        return module.names.get(value.func.id)
    return value


def resolve(module: Module, annotation: ast.expr | Key | None) -> Key | None:
    """Return the class that an annotation names; None: none of eventd's, or a container of some."""
    if isinstance(annotation, tuple):
        return annotation if annotation in classes() else None
    if isinstance(annotation, ast.BinOp):
        return resolve(module, annotation.left) or resolve(module, annotation.right)
    if isinstance(annotation, ast.Name):
        key = module.names.get(annotation.id)
        return key if key in classes() else None
    return None


def field_of(key: Key, name: str) -> Key | None:
    """Return the class of a field, of the class or of one above it."""
    known = classes().get(key)
    if known is None:
        return None
    if name in known.fields:
        return resolve(known.module, known.fields[name])
    return next((found for base in known.bases if (found := field_of(base, name)) is not None), None)


Known = dict[str, tuple[Key, int]]
"""Variables: what they are, and how many parts they were reached through."""


def reach(node: ast.expr, known: Known) -> tuple[Key, int] | None:
    """Return what a chain of attributes leads to, and through how many parts; None: it is not known."""
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if not isinstance(node, ast.Attribute):
        return None
    before = reach(node.value, known)
    found = field_of(before[0], node.attr) if before is not None else None
    if before is None or found is None or not is_part(found):
        return None
    return found, before[1] + 1


def reaches(module: Module) -> Iterator[str]:
    """Yield the chains of one module that go too far."""
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef):
            mine: Known = {"self": ((module.name, node.name), 0)}
            for each in node.body:
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield from _in_function(module, each, mine)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _in_function(module, node, {})


def _in_function(module: Module, node: ast.FunctionDef | ast.AsyncFunctionDef, outer: Known) -> Iterator[str]:
    known = dict(outer)
    for arg in _arguments(node):
        key = resolve(module, arg.annotation)
        if key is not None and is_part(key):
            known[arg.arg] = key, 0
    for each in ast.walk(node):
        if isinstance(each, ast.Assign):
            for target, value in (pair for to in each.targets for pair in _pairs(to, each.value)):
                if isinstance(target, ast.Name) and value is not None and (found := reach(value, known)):
                    known[target.id] = found
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and (found := reach(each, known)) and found[1] > FARTHEST:
            yield f"{module.name}:{each.lineno}: {ast.unparse(each)}"


def test_nobody_reaches_through_more_than_two_parts() -> None:
    """Who needs more asks for it: a query, a command, or a method of the part that is next to it."""
    assert len(modules()) > 300
    assert field_of(("eventd.kernel.runs", "Runs"), "agenda") == ("eventd.kernel.agenda", "Agenda")
    found = [each for module in modules().values() if module.name not in TOGETHER for each in reaches(module)]
    assert not found, "\n".join(found)


def test_reaching_too_far_is_found() -> None:
    """The check itself sees a chain, and one that was cut in two by a variable."""
    text = (
        "class A:\n def f(self, api: Api):\n  q = api.queries\n  return q._runs.agenda, api.queries.facts\n"
    )
    module = Module("eventd.x.routes", ast.parse(text), {"Api": ("eventd.api.routing", "Api")})
    api = classes()["eventd.api.routing", "Api"]
    assert "queries" in api.fields
    (found,) = set(
        _in_function(module, module.tree.body[0].body[0], {"api": (("eventd.api.routing", "Api"), 0)})
    )  # type: ignore[attr-defined]
    assert "q._runs.agenda" in found


def declared(tree: ast.AST) -> set[str]:
    """Return the fields that the classes of a module have."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for each in ast.walk(node):
                if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
                    found.add(each.target.id)
                found |= {name for name, _ in _set_on_self(each)}
    return found


def patched(module: Module) -> Iterator[tuple[str, int]]:
    """Yield the fields that a module sets on objects of classes that are not its own, and where."""
    own = declared(module.tree)
    for node in ast.walk(module.tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
            and node.attr not in own
        ):
            yield node.attr, node.lineno


def test_nothing_is_patched_after_it_was_made() -> None:
    """A field is set by the module of its class: others call a method, subscribe, or give it to the constructor."""
    shared: dict[str, set[Key]] = {}
    for module, name in WRITTEN_BY_OTHERS:
        for each in classes()[module, name].fields:
            shared.setdefault(each, set()).add((module, name))
    found, used, foreign = [], set(), set()
    for each in modules().values():
        for attribute, line in patched(each):
            if attribute in shared:
                used |= shared[attribute]
            elif attribute in FOREIGN:
                foreign.add(attribute)
            else:
                found.append(f"{each.name}:{line}: {attribute}")
    assert not found, "\n".join(found)
    assert used == set(WRITTEN_BY_OTHERS), "a class that nobody else writes any more"
    assert foreign == FOREIGN, "a field that nobody sets any more"
