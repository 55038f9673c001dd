"""Starts the sources of all domains, and makes them read the host again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from anyio.abc import TaskGroup, TaskStatus

from eventd.kernel.domain import Source
from eventd.kernel.model.events import Emit
from eventd.kernel.model.facts import Facts
from eventd.kernel.supervise import settled, supervise
from eventd.platform.resync import resync


@dataclass(frozen=True, slots=True)
class Sources:
    """Everything that feeds the dispatcher, in the order in which it is started."""

    rows: Sequence[Source]

    async def start(self, group: TaskGroup, emit: Emit, facts: Facts) -> None:
        """Start all; return when systemd's units have been read, and the rest has, or is known not to come.

        Without systemd's units nothing can be decided. All else has `SETTLE` seconds, and is then said to be missing:
        what comes later wakes what was held for it. One that fails is started again.
        """
        for each in self.rows:
            if each.vital:
                group.start_soon(each.run)
            else:
                group.start_soon(supervise, each.name, _with_status(each), emit, each.state)
        await settled(facts, emit, [each.name for each in self.rows if not each.vital])

    async def reread(self) -> None:
        """Have everything read once more that signals keep current: nobody can say that none was ever lost.

        Returns when that is done, or has taken too long. What is only invalidated is not waited for.
        """
        for each in self.rows:
            if each.invalidate is not None:
                each.invalidate()
        await resync({each.name: each.reread for each in self.rows if each.reread is not None})


def _with_status(source: Source) -> Callable[[TaskStatus[None]], Awaitable[None]]:
    return lambda status: source.run(task_status=status)
