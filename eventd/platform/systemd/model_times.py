"""When units and the phases of a boot began and ended, as systemd says."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UnitTimes:
    """One unit of the system manager, with timestamps of org.freedesktop.systemd1.Unit."""

    name: str
    began: float | None = None
    """When it left `inactive` last: `InactiveExitTimestampMonotonic`."""
    came: float | None = None
    """When it became active last: `ActiveEnterTimestampMonotonic`."""
    after: tuple[str, ...] = ()
    """`After=`."""


@dataclass(frozen=True, slots=True)
class Startup:
    """What systemd says of its own boot and of the unit that runs the caller; seconds of CLOCK_MONOTONIC."""

    kernel: bool
    """There was a kernel to start: this is not a container."""
    initrd: float | None
    userspace: float | None
    finished: float | None
    """None: the boot's jobs are not done yet."""
    unit: str
    """The caller's unit, or empty."""
