"""The health check in a container's Quadlet file: whether there is one, whether the start waits for it, and how long.

Pure. From podman-run(1) and podman-systemd.unit(5), tested with podman 5.4.2. A container with a check and without
`Notify=` gets `Notify=healthy` from eventd (`eventd.desired.model_own_drop_ins`; docs/adr/0015): its start job ends
when the check passes, so that `systemctl --user restart` fails if the container does not become healthy.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.durations import parse_duration
from eventd.unitfiles.model import UnitFile

SECTION = "Container"
INTERVAL = 30.0
"""podman's default for `HealthInterval=` and `HealthTimeout=`."""
START_TIMEOUT = 90.0
"""systemd's DefaultTimeoutStartSec=: for the pull, the start, and the first healthy check."""
PREPARING = 30.0
"""Seconds of it that are reserved at least for the pull and the start."""
_NONE = ("", "none", '["none"]', "[]")


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """The options of a container's check."""

    start_period: float = 0.0
    """Seconds after the start in which a failed check does not count."""
    interval: float = INTERVAL
    timeout: float = INTERVAL

    @property
    def start_timeout(self) -> float:
        """The timeout in seconds of a start that waits for the check.

        podman checks at the start and then once per interval: a result that is just missed is seen one interval later.
        """
        return max(START_TIMEOUT, PREPARING + self.start_period + self.interval + self.timeout)


def health_check(unit: UnitFile) -> HealthCheck | None:
    """Return the check that a Quadlet file defines; None if there is none, or if it never runs."""
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
    """Return whether eventd makes the start wait for the check: there is one, and the file does not set `Notify=`."""
    once = unit.value("Service", "Type").lower() == "oneshot"
    return health_check(unit) is not None and not unit.has(SECTION, "Notify") and not once


def _seconds(unit: UnitFile, key: str, default: float) -> float | None:
    """Return a duration; None for `disable`. Invalid ones are left to the generator, or to podman at the start."""
    text = unit.value(SECTION, key)
    if text.lower() == "disable":
        return None
    try:
        return parse_duration(text) if text else default
    except ValueError:
        return default
