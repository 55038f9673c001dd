"""Verdicts: what a policy says of an action before it is carried out. Policies are pure and one per file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from eventd.kernel.model.draft import Draft
from eventd.kernel.model.facts import FactKey


@dataclass(frozen=True, slots=True)
class Allow:
    """Go ahead."""

    approval: str = ""
    """`Draft.key` of the approval that has to be spent for it; empty if none is needed."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Not now: what is missing, and the facts whose change has it looked at again."""

    reason: str
    message: str
    wakes_on: frozenset[FactKey] = frozenset()
    waits_for: tuple[str, ...] = ()
    """What is missing, each as an operator wrote it."""
    draft: Draft | None = None
    """An operator has to sign this, and has not been asked yet."""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Deny:
    """Not like this: somebody has to change something."""

    reason: str
    message: str
    hint: str = ""


Verdict: TypeAlias = Allow | Hold | Deny
ALLOW = Allow()
Policy: TypeAlias = Callable[[Any], Verdict]
"""A pure function of what its domain lets it look at; the first verdict that is not Allow counts."""
