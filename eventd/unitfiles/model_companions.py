"""Companion units: plain systemd units beside a workload's Quadlet files; its user's manager reads them unchanged."""

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
"""Extension -> the section that it needs, empty if none."""
