"""The source: what the gauge says becomes facts."""

from __future__ import annotations

from dataclasses import dataclass

from anyio.abc import TaskStatus

from eventd.kernel.model.events import Emit
from tests.toy.model_facts import BARRIER, LEVEL, SHIP, SeaEvent, SeaOrigin
from tests.toy.sea import Sea


@dataclass(slots=True)
class GaugeSource:
    """See the module."""

    sea: Sea
    emit: Emit

    async def run(self, *, task_status: TaskStatus[None]) -> None:
        """Subscribe, read, tell; and again after each change."""
        changed = self.sea.changed
        self._read()
        task_status.started()
        while True:
            await changed.wait()
            changed = self.sea.changed
            self._read()

    def _read(self) -> None:
        sea = self.sea
        facts = [(LEVEL, str(sea.level)), (SHIP, sea.ship), (BARRIER, sea.closed)]
        self.emit(SeaOrigin.GAUGE, SeaEvent.TIDE, "sea", attributes={"level": sea.level}, facts=facts)
