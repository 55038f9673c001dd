"""Documents that every route may answer with, and the one serialiser of all of them.

A document is a TypedDict, or a frozen dataclass of a model whose fields are the answer. The types that a
`Route` names become docs/reference/api.schema.json.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal

from typing_extensions import TypedDict


class Error(TypedDict):
    """What is wrong, and what to do."""

    reason: str
    message: str
    hint: str


class Refusal(TypedDict):
    """The answer to a request that is refused, or that failed; with a status of 400 or more."""

    error: Error


class Ended(TypedDict):
    """The last line of a stream that ends because the daemon stops."""

    type: Literal["error"]
    reason: str
    message: str


class Queued(TypedDict):
    """A run was requested, and the answer does not wait for it."""

    queued: bool


class Check(TypedDict):
    """One line of `eventctl doctor`."""

    name: str
    ok: bool
    message: str
    hint: str


def encoded(content: object) -> str:
    """Return a document as one line of JSON."""
    return json.dumps(content, separators=(",", ":"), default=_fields) + "\n"


def _fields(value: object) -> dict[str, Any]:
    if not dataclasses.is_dataclass(value):
        raise TypeError(f"a {type(value).__name__} is in a document")
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
