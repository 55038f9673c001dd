"""A loaded unit with its ordering and requirement dependencies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ORDERINGS = ("After", "Before")
PULLS = ("Wants", "Requires", "BindsTo", "Requisite", "Upholds", "PartOf")
"""Dependencies that start or stop other units. None of them orders: that takes `After=` or `Before=` as well."""


@dataclass(frozen=True, slots=True)
class LiveUnit:
    """A unit as a running manager has it, including implicit dependencies (org.freedesktop.systemd1.Unit)."""

    name: str
    relations: Mapping[str, tuple[str, ...]]
    """Property -> unit names, for all of `ORDERINGS` and `PULLS`."""
    service_type: str = ""
    """`Type` of the Service interface."""
    listens: tuple[str, ...] = ()
    """`Listen` of the Socket interface, streams only: `0.0.0.0:80`, `/run/x.sock`."""
    fragment: str = ""
    """`FragmentPath`."""
