"""The health check of a container, as its Quadlet file has it: whether there is one, who waits for it, and how long.

Pure. Facts of podman-run(1) and podman-systemd.unit(5), tried on podman 5.4.2. A container with a check and without a
`Notify=` of its own gets `Notify=healthy` from eventd (`eventd.desired.model_own_drop_ins`; docs/adr/0015): its start
job ends when the check passes, so that `systemctl --user restart` fails where the container does not become healthy.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.durations import parse_duration
from eventd.unitfiles.model import UnitFile

SECTION = "Container"
INTERVAL = 30.0
"""podman's default of `HealthInterval=` and of `HealthTimeout=`."""
START_TIMEOUT = 90.0
"""DefaultTimeoutStartSec= of systemd: for the pull, the start, and the first healthy check."""
PREPARING = 30.0
"""Seconds of it that are left for pulling and starting, at the least, where the check may take longer than the rest."""
_NONE = ("", "none", '["none"]', "[]")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What podman is told of a container's check."""

    start_period: float = 0.0
    """Seconds after the start in which a check that fails does not count."""
    interval: float = INTERVAL
    timeout: float = INTERVAL

    @property
    def start_timeout(self) -> float:
        """Seconds that a start may take which waits for the check.

        podman checks once at the start, and then every interval: what is late by a moment is seen an interval later.
        """
        return max(START_TIMEOUT, PREPARING + self.start_period + self.interval + self.timeout)


def health_check(unit: UnitFile) -> HealthCheck | None:
    """Return the check that a Quadlet file gives its container; None where it gives none, or nothing ever runs it."""
    if unit.value(SECTION, "HealthCmd").strip().lower() in _NONE:
        return None
    interval = _seconds(unit, "HealthInterval", INTERVAL)
    if interval is None:
        return None
    return HealthCheck(
        _seconds(unit, "HealthStartPeriod", 0.0) or 0.0,
        interval,
        _seconds(unit, "HealthTimeout", INTERVAL) or INTERVAL,
    )


def waits_by_default(unit: UnitFile) -> bool:
    """Tell whether eventd has the start of a container wait for its check: it has one, and says nothing of it."""
    once = unit.value("Service", "Type").lower() == "oneshot"
    return health_check(unit) is not None and not unit.has(SECTION, "Notify") and not once


def _seconds(unit: UnitFile, key: str, default: float) -> float | None:
    """Return a duration; None for `disable`. One that podman refuses is the generator's, or the start's, to refuse."""
    text = unit.value(SECTION, key)
    if text.lower() == "disable":
        return None
    try:
        return parse_duration(text) if text else default
    except ValueError:
        return default
