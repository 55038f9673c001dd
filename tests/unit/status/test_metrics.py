"""Scope: what is counted in the runtime is what a scrape says."""

from __future__ import annotations

import asyncio

from eventd.status.documents_metrics import Metrics
from eventd_simulators.inprocess.host import SimHost
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container


@virtual()
async def test_a_wait_for_another_process_is_counted() -> None:
    """Each run that finds the lock of runs taken by another process, once, however long it waits."""
    story = Story()
    await story.start()
    assert "eventd_lock_contended_total 0.0" in Metrics(story.engine.queries).text().decode()
    story.world.disk.holder = SimHost(story.world, story.dispatcher.emit).life
    story.push(container("web"))
    await asyncio.sleep(2)
    story.world.disk.holder = None
    await story.quiet()
    assert "eventd_lock_contended_total 1.0" in Metrics(story.engine.queries).text().decode()
