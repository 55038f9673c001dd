"""The table `[barrier]` of eventd.toml."""

from __future__ import annotations

from pydantic import Field

from eventd.kernel.settings_table import Table


class Barrier(Table):
    """`[barrier]`: when the barrier is closed."""

    gauge: str = Field(default="harbour", description="which gauge is read")
    limit: int = Field(default=5, ge=1, description="metres from which on it is closed")


TABLES = {"barrier": Barrier}
