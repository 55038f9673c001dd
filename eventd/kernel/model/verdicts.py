"""Verdicts: a policy's answer about an action before it is carried out. Policies are pure, one in each file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from eventd.kernel.model.draft import Draft
from eventd.kernel.model.facts import FactKey


@dataclass(frozen=True, slots=True)
class Allow:
    """The action may be carried out."""

    approval: str = ""
    """`Draft.key` of the approval to spend for it; empty if none is needed."""


@dataclass(frozen=True, slots=True)
class Hold:
    """The action must wait: what is missing, and the facts whose change causes a retry."""

    reason: str
    message: str
    wakes_on: frozenset[FactKey] = frozenset()
    waits_for: tuple[str, ...] = ()
    """What is missing, as the operator wrote it."""
    draft: Draft | None = None
    """An operator must sign this, and has not been asked yet."""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Deny:
    """The action is forbidden until somebody changes something."""

    reason: str
    message: str
    hint: str = ""


Verdict: TypeAlias = Allow | Hold | Deny
ALLOW = Allow()
Policy: TypeAlias = Callable[[Any], Verdict]
"""A pure function from a case to a verdict. The first verdict other than Allow counts."""
