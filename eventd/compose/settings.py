"""What the operator says about compose stacks: the table `[compose]` of eventd.toml."""

from __future__ import annotations

from pydantic import Field

from eventd.kernel.settings_table import Table


class Compose(Table):
    """`[compose]`: how compose stacks are applied."""

    provider: str = Field(
        default="/usr/bin/docker-compose",
        pattern=r"^(/[A-Za-z0-9._@:+=,-]+)+$",
        description="the program that `podman compose` uses: docker-compose (v2), or podman-compose",
    )


TABLES = {"compose": Compose}
"""Key in eventd.toml -> table."""
