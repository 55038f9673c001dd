"""Whether anything new may begin: not while the daemon drains, and not while the host goes down."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.waiting import until


@dataclass(slots=True)
class Draining:
    """One for the whole daemon."""

    facts: Facts
    shutdown: FactKey
    """The fact that the host goes down."""
    stopping: bool = False
    """The daemon drains: no run begins, no turn, and no further step of one that is on."""

    def begin(self) -> None:
        """Begin to drain; nothing ends that."""
        self.stopping = True

    def forbids(self) -> bool:
        """Nothing new may begin."""
        return self.stopping or self.facts.get(self.shutdown) is True

    async def until_allowed(self) -> None:
        """Return when a shutdown was called off. It may never be: then the process ends here."""
        await until(self.facts, (self.shutdown,), lambda: not self.forbids(), timeout=None)
