"""The host's rules for approvals: its identity, how long they are valid, and how signatures are verified.

A host that cannot verify signatures accepts none, and says why.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from eventd.approvals import model as approvals
from eventd.kernel.model.errors import PermanentError


class Verify(Protocol):
    """Checks a signature over a document against the allowed signers."""

    async def __call__(self, document: bytes, signature: bytes) -> str:
        """Return the principal that signed.

        Raises PermanentError(reason="bad-signature" | "unknown-key" | "no-allowed-signers" | …), TemporaryError.
        """
        ...


async def no_signatures(document: bytes, signature: bytes) -> str:
    """Accept nothing: the verifier of a host without allowed signers."""
    del document, signature
    raise PermanentError(
        "this host has no allowed signers", reason="no-allowed-signers", hint="see [approvals] in eventd.toml"
    )


async def no_machine_id(document: bytes, signature: bytes) -> str:
    """Accept nothing: without a machine id, an approval for one host would be valid on others."""
    del document, signature
    raise PermanentError(
        "this host has no machine id, so no approval can be bound to it",
        reason="no-machine-id",
        hint="systemd-machine-id-setup(1), then restart eventd",
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """The host's rules for approvals."""

    host: str = "unknown"
    """The machine id (machine-id(5))."""
    hostname: str = ""
    lifetime: float = approvals.LIFETIME
    """Seconds."""
    verify: Verify = no_signatures
    nonce: Callable[[], str] = lambda: secrets.token_hex(16)
