"""When units, and the phases of a boot, began and ended, by systemd's timestamps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnitTimes:
    """One unit of the system manager, with timestamps of org.freedesktop.systemd1.Unit."""

    name: str
    began: float | None = None
    """When it last left `inactive`: `InactiveExitTimestampMonotonic`."""
    came: float | None = None
    """When it last became active: `ActiveEnterTimestampMonotonic`."""
    after: tuple[str, ...] = ()
    """`After=`."""


@dataclass(frozen=True, slots=True)
class Startup:
    """The times of the boot's phases, in seconds of CLOCK_MONOTONIC, and the caller's unit."""

    kernel: bool
    """Whether the boot started a kernel; false in a container."""
    initrd: float | None
    userspace: float | None
    finished: float | None
    """None while jobs of the boot are left."""
    unit: str
    """The caller's unit; empty if it has none."""
