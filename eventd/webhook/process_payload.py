"""Parses the body of a push into branch, commit and repository.

Pure. Owns the parsing of JSON that may be hostile although it is signed (a forge signs what its users wrote), and the
differences between forges. The daemon treats all of it as a hint, and only relies on "pushed".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from eventd.repository import model_object_ids as object_ids
from eventd.webhook.process_settings import Forge

_PUSH_EVENTS = {
    Forge.GITHUB: ("push",),
    Forge.GITEA: ("push",),
    Forge.FORGEJO: ("push",),
    Forge.GITLAB: ("Push Hook", "System Hook"),
}
_ZEROS = re.compile(r"0+")
_HEADS = "refs/heads/"


@dataclass(frozen=True, slots=True)
class Push:
    """A branch has a new head."""

    repository: str
    """The full name, `team/host`."""
    branch: str
    commit: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A valid request that needs no action."""

    reason: str


class MalformedError(Exception):
    """The body is not a valid push. Contains nothing of the body."""


_Text = Annotated[str, StringConstraints(min_length=1, max_length=512)]
_ObjectId = Annotated[str, StringConstraints(pattern=f"^{object_ids.WHOLE}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Repository(_Model):
    full_name: _Text


class _Project(_Model):
    path_with_namespace: _Text


class _PushBody(_Model):
    ref: _Text
    after: _ObjectId
    repository: _Repository


class _GitlabBody(_Model):
    ref: _Text
    after: _ObjectId
    object_kind: _Text = "push"
    project: _Project


def interpret(forge: Forge, event: str, body: bytes) -> Push | Ignored:
    """Return the push, or why it is ignored. Raises MalformedError."""
    if event not in _PUSH_EVENTS[forge]:
        return Ignored("ping" if event == "ping" else "other-event")
    data = _parse(body)
    try:
        if forge is Forge.GITLAB:
            if isinstance(data, dict) and data.get("object_kind", data.get("event_name")) != "push":
                return Ignored("other-event")
            gitlab = _GitlabBody.model_validate(data)
            ref, after, repository = gitlab.ref, gitlab.after, gitlab.project.path_with_namespace
        else:
            push = _PushBody.model_validate(data)
            ref, after, repository = push.ref, push.after, push.repository.full_name
    except ValidationError:
        raise MalformedError from None
    if not ref.isprintable() or not repository.isprintable():
        raise MalformedError
    if not ref.startswith(_HEADS) or ref == _HEADS:
        return Ignored("not-a-branch")
    if _ZEROS.fullmatch(after):
        return Ignored("branch-deleted")
    return Push(repository, ref.removeprefix(_HEADS), after)


def _parse(body: bytes) -> Any:
    """Parse strictly: UTF-8, no duplicate keys, no NaN, no nesting beyond the parser's limit."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        # ValueError: invalid UTF-8, invalid JSON, or integers of over 4,300 digits.
        raise MalformedError from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise MalformedError
    return result


def _refuse(_constant: str) -> NoReturn:
    raise MalformedError
