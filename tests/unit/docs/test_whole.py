"""Scope: nothing that people can use is left out of its reference page."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from enum import StrEnum

import pytest

from eventd.cli import codes
from eventd.desired import model_options as options
from eventd.gates import model_predicate_read as predicate_read
from eventd.kernel.model.events import EventKind, Origin
from eventd.kernel.model.facts import FactKind
from eventd.storage import model_file as storage_file
from eventd.waits import model_declared as declared
from eventd.webhook.process_settings import HookTable
from tests.unit.docs import docs_code, docs_events
from tests.unit.docs.docs_pages import ROOT, blocks


def read(page: str) -> str:
    """Return the text of a page."""
    return (ROOT / page).read_text(encoding="utf-8")


def keys_in_toml(page: str) -> set[str]:
    """Return the keys and tables that the TOML blocks of a page show."""
    shown = "\n".join(text for language, text in blocks(read(page)) if language.startswith("toml"))
    found = re.findall(r"^\s*([a-z_]+) *=|^\s*\[+([a-z]+)", shown, re.MULTILINE)
    return {name for pair in found for name in pair if name}


@pytest.mark.parametrize(
    ("page", "keys"),
    [
        ("docs/reference/repository.md", {key for keys in options.OPTION_KEYS.values() for key in keys}),
        ("docs/reference/repository.md", options.HOST_KEYS),
        ("docs/reference/storage.md", storage_file.KEYS),
        ("docs/how-to/gates.md", declared.KEYS),
        ("docs/how-to/webhooks.md", HookTable.model_fields),
    ],
    ids=["workload.toml", "hosts", "storage.toml", "waits.toml", "webhook.toml"],
)
def test_every_key_of_a_document_is_on_its_page(page: str, keys: Iterable[str]) -> None:
    """In an example, or by its name in the text."""
    text = read(page)
    shown = keys_in_toml(page) | set(re.findall(r"`(?:[a-z]+\.)?([a-z_]+)(?: = [^`]*)?`", text))
    assert set(keys) - shown == set()


def test_every_predicate_is_in_the_table() -> None:
    """And the table has no other."""
    table = read("docs/reference/predicates.md").partition("## Atoms")[2].partition("\n## ")[0]
    cells = "".join(line.split(" | ")[0] for line in table.splitlines())
    assert set(re.findall(r"`([a-z-]+):", cells)) == set(predicate_read._ATOMS)


def test_every_exit_code_is_told() -> None:
    """In `--help`, in the reference and in the README, with the same numbers."""
    numbers = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, int)}
    told = {int(number) for number in re.findall(r"^  (\d+)  ", codes.EPILOG, re.MULTILINE)}
    assert numbers - {codes.INTERRUPTED} == told
    for page, pattern in (("docs/reference/cli.md", r"^\| (\d+) \|"), ("README.md", r"(?<=[:,] )(\d) ")):
        section = read(page).partition("xit codes")[2].partition("\n\n#")[0].partition("Every command")[0]
        assert {int(number) for number in re.findall(pattern, section, re.MULTILINE)} >= told, page


def test_every_attribute_of_an_event_is_described() -> None:
    """What a kind is sent with stands in its description, which the page is made from."""
    kinds = read("docs/reference/events.md").partition("## Kinds")[2].partition("## Facts")[0]
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", kinds, re.MULTILINE))
    classes = docs_code.parts(EventKind)
    missing = {}
    for kind, names in docs_events.product().items():
        owner, _, member = kind.partition(".")
        row = rows[classes[owner][member].value]
        if left := names - set(re.findall(r"`(\w+)`", row)):
            missing[kind] = sorted(left)
    assert missing == {}


@pytest.mark.parametrize("base", [EventKind, Origin, FactKind])
def test_every_kind_that_is_described_is_used(base: type[StrEnum]) -> None:
    """No page describes an event that the daemon never sends, or a fact that it never has."""
    used = {
        f"{node.value.id}.{node.attr}"
        for tree in docs_code.product().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    described = {f"{name}.{each.name}" for name, part in docs_code.parts(base).items() for each in part}
    assert described - used == set()


def test_an_attribute_is_found_however_it_is_given() -> None:
    """Written in the call, chosen between two, or kept in a name first."""
    code = """
def f(emit, x):
    more = {"b": 1}
    more["c"] = 2
    emit(O.A, KernelEvent.ONE, attributes={"a": 1} if x else {})
    emit(O.A, KernelEvent.TWO if x else KernelEvent.THREE, attributes=more)
"""
    assert docs_events.sent([ast.parse(code)]) == {
        "KernelEvent.ONE": {"a"},
        "KernelEvent.TWO": {"b", "c"},
        "KernelEvent.THREE": {"b", "c"},
    }
