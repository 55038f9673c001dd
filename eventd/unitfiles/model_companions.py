"""Companion units: what a workload may have beside its Quadlet files, read by its user's manager as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPANIONS: Mapping[str, str] = {
    "service": "Service",
    "timer": "Timer",
    "socket": "Socket",
    "path": "Path",
    "target": "",
    "slice": "Slice",
}
"""Extension -> the section of its own, empty if it needs none."""
