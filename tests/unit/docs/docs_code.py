"""What there is in this checkout that a page can name: routes, settings, metrics, words, files, functions, units.

Each is read from the code itself, so that a page is checked against what runs, and never against another list.
"""

from __future__ import annotations

import ast
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from eventd import domains, settings
from eventd.desired import model_options as options
from eventd.status import adapter_reasons as reasons
from eventd.status.documents_metrics import Metrics
from eventd.storage import model_file as storage_file
from eventd.waits import model_declared as declared
from eventd.webhook import process_settings as webhook
from eventd_simulators.virtual_time import run
from tests.simulated.daemon import QUIET, container, deployed
from tests.unit.docs.docs_pages import ROOT

CODE = ("eventd", "handlers", "policies", "simulators")
FOLDERS = (*CODE, "systemd", "tests", "docs", "benchmarks", "examples")
"""Of the checkout's top: what begins with one of them is a path in it."""
PUSHED = ("POST", "/v1/pushed")
"""The one route of the webhook's socket, which is in no table."""


def routes() -> frozenset[tuple[str, str]]:
    """Return method and path of each route."""
    return frozenset({(route.method, route.path) for route in domains.load().routes} | {PUSHED})


def is_route(method: str, path: str) -> bool:
    """Tell whether something answers there; an empty method is any. A placeholder stands for a parameter."""
    for one, template in routes():
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        if method in ("", one) and re.fullmatch(pattern, path):
            return True
    return False


def _keys(model: type[BaseModel]) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        kind: Any = field.annotation
        inner = (kind, *getattr(kind, "__args__", ()))
        tables = [each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)]
        yield (name,)
        for table in tables:
            yield from ((name, *rest) for rest in _keys(table))


@cache
def documents() -> Mapping[str, frozenset[tuple[str, ...]]]:
    """Return the keys of each TOML document of ours. `*` is a name that its author chooses."""
    workload = {
        (table, key) if table else (key,) for table, keys in options.OPTION_KEYS.items() for key in keys
    }
    workload |= {(table,) for table in options.OPTION_KEYS if table}
    host = (
        {(key,) for key in options.HOST_KEYS}
        | {("workload", "*")}
        | {("workload", "*", *k) for k in workload}
    )
    storage = {("strict",), ("volume",), ("volume", "*")} | {
        ("volume", "*", key) for key in storage_file.KEYS
    }
    waits = {("wait",), (declared.NOTHING,)} | {("wait", key) for key in declared.KEYS}
    return {
        "eventd.toml": frozenset(_keys(settings.model(domains.tables()))),
        "webhook.toml": frozenset(_keys(webhook.WebhookTable)),
        "workload.toml": frozenset(workload),
        "hosts/<hostname>.toml": frozenset(host),
        "storage.toml": frozenset(storage),
        "waits.toml": frozenset(waits),
    }


def is_key(*path: str) -> bool:
    """Tell whether some document has this key."""
    return any(_has(keys, path) for keys in documents().values())


def _has(keys: Iterable[tuple[str, ...]], path: tuple[str, ...]) -> bool:
    return any(len(key) == len(path) and all(map(fnmatch.fnmatchcase, path, key)) for key in keys)


def strange_keys(data: Mapping[str, Any]) -> list[str]:
    """Return the keys of a TOML document that the kind which fits it best does not have."""
    paths = list(_paths(data))
    return min(
        ([".".join(path) for path in paths if not _has(keys, path)] for keys in documents().values()), key=len
    )


def _paths(data: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for key, value in data.items():
        yield (key,)
        for table in value if isinstance(value, list) else [value]:
            if isinstance(table, dict):
                yield from ((key, *rest) for rest in _paths(table))


@cache
def metrics() -> Mapping[str, frozenset[str]]:
    """Return each metric as it is scraped, with its labels."""
    found: dict[str, frozenset[str]] = {}
    for family in run(_families()):
        declared_labels = frozenset(getattr(family, "_labelnames", ()))  # what prometheus_client was told
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        found[name] = declared_labels | {label for sample in family.samples for label in sample.labels}
    return found


async def _families() -> list[Any]:
    story = await deployed(container("web"), QUIET)
    return list(Metrics(story.engine.queries, domains.load().metrics).collect())


@cache
def trees() -> Mapping[Path, ast.Module]:
    """Return each module of the product and of the simulators."""
    files = [path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))]
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in files}


def product() -> Mapping[Path, ast.Module]:
    """Return each module of the product."""
    return {path: tree for path, tree in trees().items() if not path.is_relative_to(ROOT / "simulators")}


@cache
def texts() -> frozenset[str]:
    """Return every string constant of the code; what is put in at run time is `*`."""
    found: set[str] = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = (part.value if isinstance(part, ast.Constant) else "*" for part in node.values)
                found.add("".join(map(str, parts)))
    return frozenset(found)


@cache
def values(base: type[StrEnum]) -> frozenset[str]:
    """Return the values of an enumeration that each domain has a part of."""
    return frozenset(each.value for part in parts(base).values() for each in part)


def parts(base: type[StrEnum]) -> Mapping[str, type[StrEnum]]:
    """Return what each domain makes of an enumeration, by name."""
    known = domains.load()
    found = (*known.facts, *known.events, *known.origins)
    return {part.__name__: part for part in found if issubclass(part, base)}


@cache
def reason_names() -> frozenset[str]:
    """Return the reasons of the table; some have a `*`."""
    return frozenset(row.name for row in reasons.table())


def is_word(word: str) -> bool:
    """Tell whether the code says this kebab-case word: a reason, a kind, a state, a verb, a name."""
    return word in texts() | installed() or any(fnmatch.fnmatchcase(word, name) for name in reason_names())


@cache
def installed() -> frozenset[str]:
    """Return the names of the files that are installed, besides Python's."""
    return frozenset(path.name for path in (ROOT / "systemd").rglob("*"))


@cache
def members() -> Mapping[str, frozenset[str]]:
    """Return what each class of the code has; what it inherits is not in it."""
    found: dict[str, set[str]] = {}
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, set()).update(_defined(node.body))
    return {name: frozenset(names) for name, names in found.items()}


def _defined(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                for target in targets:
                    yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (alias.asname or alias.name for alias in names)
            case _:
                pass


WRITTEN = {"benchmarks/results/latest.json": "benchmarks/run.py"}
"""What a checkout has only after a tool of it has written it -> the tool."""


def is_field(name: str) -> bool:
    """Tell whether a document can have a field of this name: a key that is written, or a field of a class."""
    return name in texts() or any(name in names for names in members().values())


def is_path(path: str) -> bool:
    """Tell whether something of the checkout is there; `*` and placeholders stand for anything."""
    if (tool := WRITTEN.get(path)) is not None:
        return path in (ROOT / tool).read_text(encoding="utf-8")
    pattern = re.sub(r"<[^>]*>|…", "*", path).rstrip("/")
    return any(ROOT.glob(pattern)) if "*" in pattern else (ROOT / pattern).exists()


def has_name(path: str, name: str) -> bool:
    """Tell whether a module of the checkout defines a function, a class, a constant, or a `Class.method`."""
    file = ROOT / path
    if not file.is_file():
        return False
    body: list[ast.stmt] = ast.parse(file.read_text(encoding="utf-8")).body
    *owners, last = name.split(".")
    for owner in owners:
        body = [
            each
            for node in body
            if isinstance(node, ast.ClassDef) and node.name == owner
            for each in node.body
        ]
    return last in set(_defined(body))


def is_module(dotted: str) -> bool:
    """Tell whether `eventd.x.y` is a module or a package, or a name in one."""
    parts = dotted.split(".")
    roots = {
        folder.name: folder for code in CODE for folder in (ROOT / code, *(ROOT / code).glob("eventd_*"))
    }
    for cut in range(len(parts), 0, -1):
        place = roots[parts[0]].joinpath(*parts[1:cut]) if parts[0] in roots else None
        if place is None:
            return False
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if file.is_file():
                rest = parts[cut:]
                return not rest or has_name(str(file.relative_to(ROOT)), ".".join(rest))
        if place.is_dir() and cut == len(parts):
            return True
    return False


@cache
def units() -> frozenset[str]:
    """Return the units that are installed, and the patterns of those that the code makes."""
    kinds = (".service", ".socket", ".timer", ".target", ".path", ".mount", ".slice")
    made = {text for text in texts() if re.fullmatch(r"eventd[\w@*.-]*", text)}
    return frozenset(name for name in installed() | made if name.endswith(kinds))


def is_unit(name: str) -> bool:
    """Tell whether a unit of this name is installed or made."""
    plain = re.sub(r"@[^.]+(?=\.)", "@", name)
    stem, _, kind = name.rpartition(".")
    if stem in texts() and f"*.{kind}" in texts():  # put together of a constant
        return True
    return any(fnmatch.fnmatchcase(each, unit) for each in (name, plain) for unit in units())
