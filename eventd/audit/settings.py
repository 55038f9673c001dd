"""The settings of the audit: the table `[provenance]` of eventd.toml."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import AfterValidator, Field

from eventd.kernel.settings_table import Table


def _absolute(value: str) -> str:
    if not value.startswith("/") or os.path.normpath(value) != value:
        raise ValueError("must be an absolute path without `.` and `..`")
    return value


class Provenance(Table):
    """`[provenance]`: the audit of unit files."""

    live = True

    allow: frozenset[Annotated[str, AfterValidator(_absolute)]] = Field(
        default=frozenset(),
        description="unit files and drop-ins that are allowed although they are not eventd's",
    )


TABLES = {"provenance": Provenance}
"""Key in eventd.toml -> table."""
