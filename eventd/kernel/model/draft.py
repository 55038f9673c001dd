"""Drafts: what an operator would have to sign before an action may destroy what bears data.

Pure. A policy returns one with its `Hold`; `eventd.approvals` makes a request of it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Planned:
    """One action as the signer reads it."""

    action: str
    """Its verb."""
    target: str
    does: str
    """A sentence without a full stop: what it means."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What would be done, to what, and why; the same for as long as nothing about it changes."""

    subject: str
    """The workload, or a controller's subject."""
    plan: tuple[Planned, ...]
    resources: tuple[str, ...]
    """Identities of what would be gone: `account bob uid 1234 home /home/bob made by run 7`."""
    why: str

    @property
    def key(self) -> str:
        """Identify the plan and its resources, whatever the time: a FACT of kind APPROVAL has this name."""
        return digest(
            canonical(
                {
                    "subject": self.subject,
                    "plan": [asdict(each) for each in self.plan],
                    "resources": list(self.resources),
                }
            )
        )


def stamp(at: float) -> str:
    """Return a time as it stands in documents: UTC, whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical(value: Any) -> bytes:
    """Return the one form of a value: sorted keys, no blanks, UTF-8, a newline at the end."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def digest(content: bytes) -> str:
    """Return the sha256 of a document, hexadecimal."""
    return hashlib.sha256(content).hexdigest()
