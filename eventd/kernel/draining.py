"""Whether new work may begin: not while the daemon drains, and not while the host shuts down."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.waiting import until


@dataclass(slots=True)
class Draining:
    """One for the whole daemon."""

    facts: Facts
    shutdown: FactKey
    """Set while the host shuts down."""
    stopping: bool = False
    """The daemon drains: no run, turn or further step begins."""

    def begin(self) -> None:
        """Begin to drain. This cannot be undone."""
        self.stopping = True

    def forbids(self) -> bool:
        """Return whether new work is forbidden."""
        return self.stopping or self.facts.get(self.shutdown) is True

    async def until_allowed(self) -> None:
        """Wait until a shutdown is cancelled. If it never is, the process ends here."""
        await until(self.facts, (self.shutdown,), lambda: not self.forbids(), timeout=None)
