"""The settings of approvals: the table `[approvals]` of eventd.toml."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from eventd.kernel.settings_table import Table, seconds


class Approvals(Table):
    """`[approvals]`: who may sign for what destroys data."""

    allowed_signers: str = Field(
        default="/etc/eventd/allowed_signers",
        description='allowed_signers file (ssh-keygen(1)); `namespaces="approval@eventd"` is for approvals alone',
    )
    revoked_keys: str = Field(
        default="",
        description="key revocation list, or list of public keys that are no longer accepted; empty: none",
    )
    lifetime: Annotated[float, BeforeValidator(seconds), Field(ge=300, le=366 * 86400)] = Field(
        default=7 * 86400.0, description="how long a request can be approved, and an approval used"
    )


TABLES = {"approvals": Approvals}
"""Key in eventd.toml -> table."""
