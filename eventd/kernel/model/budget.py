"""A token bucket. Pure: the time is an argument."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Budget:
    """A budget with a burst, refilled at a constant rate."""

    size: float
    rate: float
    """Refill per second."""
    _left: float = -1.0
    _at: float = 0.0

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Take `amount` if that much is left. Return whether it was."""
        if self._left < 0:
            self._left = self.size
        else:
            self._left = min(self.size, self._left + max(0.0, now - self._at) * self.rate)
        self._at = now
        if self._left < amount:
            return False
        self._left -= amount
        return True
