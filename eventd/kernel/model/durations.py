"""Durations in the syntax of systemd.time(7), without the units that make no sense in a deadline.

Pure. Used for `workload.toml` and eventd.toml.
"""

from __future__ import annotations

import math
import re

_UNITS = {
    **dict.fromkeys(("usec", "us", "µs", "μs"), 1e-6),
    **dict.fromkeys(("msec", "ms"), 1e-3),
    **dict.fromkeys(("seconds", "second", "sec", "s", ""), 1.0),
    **dict.fromkeys(("minutes", "minute", "min", "m"), 60.0),
    **dict.fromkeys(("hours", "hour", "hr", "h"), 3600.0),
    **dict.fromkeys(("days", "day", "d"), 86400.0),
    **dict.fromkeys(("weeks", "week", "w"), 604800.0),
}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-zµμ]*)\s*")


def parse_duration(value: object) -> float:
    """Return seconds for `"90s"`, `"1h 30min"`, `90` or `"90"`.

    Raises ValueError with a sentence. Months and years are refused: in a deadline they are typing errors for
    minutes. `infinity` is refused because every wait has a deadline.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError('a duration is a text such as "90s", or a number of seconds')  # noqa: TRY004
    if not isinstance(value, str):
        seconds = float(value)
    else:
        seconds, at = 0.0, 0
        while match := _PART.match(value, at):
            if match[2] not in _UNITS:
                raise ValueError(f"{match[2]!r} is not a unit of time (s, min, h, d, w, ms)")
            seconds += float(match[1]) * _UNITS[match[2]]
            at = match.end()
        if not value.strip() or at != len(value):
            raise ValueError(f"{value!r} is not a duration")
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{value!r} is not a finite, non-negative duration")
    return seconds
