"""Drafts: what an operator must sign before an action may destroy data.

Pure. A policy returns a draft with its `Hold`; `eventd.approvals` turns it into a request.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Planned:
    """One action, as shown to the signer."""

    action: str
    """Its verb."""
    target: str
    does: str
    """What it does, as a sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What would be done, to what, and why."""

    subject: str
    """The workload, or a controller's subject."""
    plan: tuple[Planned, ...]
    resources: tuple[str, ...]
    """Identities of what would be deleted: `account bob uid 1234 home /home/bob made by run 7`."""
    why: str

    @property
    def key(self) -> str:
        """Return a digest of the plan and its resources, independent of the time. The APPROVAL fact has this name."""
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
    """Return a time as documents contain it: UTC, in whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a value: sorted keys, no spaces, UTF-8, a newline at the end."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode() + b"\n"


def digest(content: bytes) -> str:
    """Return the SHA-256 of a document, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()
