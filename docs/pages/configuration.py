"""configuration.md: every table and key of the two configuration files, from their models."""

# ruff: noqa: INP001  a script's

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator
from enum import StrEnum
from types import UnionType
from typing import Any

from pydantic import BaseModel, BeforeValidator
from pydantic.fields import FieldInfo

from docs.pages.words import MADE, docstrings, sentence
from eventd import (
    domains,
    settings,
)
from eventd.webhook import process_settings as webhook

WHOLE = settings.model(domains.tables())


PLAIN = {"log_level"}
"""Keys of the top, which are no table."""


LIVE = ", ".join(f"`{name}`" if name in PLAIN else f"`[{name}]`" for name in settings.live_keys(WHOLE))
"""What a reload applies."""


CONFIGURATION = f"""\
# Configuration

{MADE}

## /etc/eventd/eventd.toml

Read by `eventd`, and checked by `eventd --check-config`, which names each mistake by file, line and key.
An unknown key is a mistake. A change of {LIVE} is applied at
once, one of anything else at the next start of the daemon. No secret belongs here: see
[private repositories](../how-to/private-repositories.md).

Durations are seconds, or texts as `90s`, `5min`, `1h 30min`.

"""


WEBHOOK = """\

## /etc/eventd/webhook.toml

Read by `eventd-webhook`, and checked by `eventd-webhook --check`. How to set it up:
[webhooks](../how-to/webhooks.md).

"""


def configuration() -> Iterator[str]:
    """Yield configuration.md."""
    yield from CONFIGURATION.splitlines()
    plain: list[tuple[str, FieldInfo]] = []
    tables: list[tuple[str, FieldInfo]] = []
    for name, field in WHOLE.model_fields.items():
        kind = field.annotation
        is_table = isinstance(kind, type) and issubclass(kind, BaseModel)
        (tables if is_table else plain).append((name, field))
    yield from _keys(settings.Settings, plain)
    for name, field in tables:
        model = field.annotation
        assert isinstance(model, type)
        assert issubclass(model, BaseModel)
        about = inspect.cleandoc(model.__doc__ or "").partition(": ")[2]
        yield from ("", f"### [{name}]", "", sentence(about), "")
        yield from _keys(model, list(model.model_fields.items()))
    yield from WEBHOOK.splitlines()
    fields = webhook.WebhookTable.model_fields
    yield from _keys(webhook.WebhookTable, [(n, f) for n, f in fields.items() if n != "hooks"])
    yield from ("", "### [[hooks]]", "", "One for each place that pushes come from; at least one.", "")
    yield from _keys(webhook.HookTable, list(webhook.HookTable.model_fields.items()))


def _keys(model: type[Any], fields: list[tuple[str, FieldInfo]]) -> Iterator[str]:
    said = docstrings(model)
    yield "| key | type | default | |"
    yield "|---|---|---|---|"
    for name, field in fields:
        about = sentence(field.description or said.get(name, ""))
        yield f"| `{name}` | {_type(field)} | {_default(field)} | {about} |"


def _type(field: FieldInfo) -> str:
    kind: Any = field.annotation
    if typing.get_origin(kind) in (UnionType, typing.Union):
        kind = next(arg for arg in typing.get_args(kind) if arg is not type(None))
    limits = list(field.metadata)
    if typing.get_origin(kind) is typing.Annotated:
        kind, *more = typing.get_args(kind)
        limits += more
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(kind))
    if typing.get_origin(kind) in (frozenset, tuple):
        return "list of texts"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(f"`{choice}`" for choice in kind)
    if any(isinstance(each, BeforeValidator) for each in limits):
        return "duration"
    words: dict[Any, str] = {str: "text", int: "number", bool: "true or false", float: "number"}
    return words[kind]


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "the host's name"
    value = field.default
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:g}s`" if _type(field) == "duration" else f"`{value:g}`"
    if isinstance(value, (frozenset, tuple)):
        return "none"
    return "" if value is None else f"`{value}`"
