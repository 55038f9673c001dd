"""Backoff: exponential, capped, with jitter from a number that is passed in."""

from __future__ import annotations

FIRST = 2.0
CAP = 300.0


def delay(attempt: int, jitter: float) -> float:
    """Return the seconds to wait after failed attempt `attempt` (from 1); `jitter` is in [0, 1).

    2, 4, 8, … up to 300, each less up to a fifth, so that many workloads do not retry in step.
    """
    full = min(CAP, FIRST * 2.0 ** (min(attempt, 16) - 1))
    return full * (1.0 - 0.2 * jitter)
