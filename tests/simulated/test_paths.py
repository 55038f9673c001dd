"""Scope: the four paths of the architecture page are what the daemon does, function by function, in that order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from eventd.kernel.model.report import WorkloadState
from eventd.platform.model_facts import ActiveState
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container, deployed
from tests.simulated.paths import MOST, PAGE, hops, not_reached, traced
from tests.simulated.test_storage import UUID, DiskStory
from tests.simulated.test_updates import BROKEN, started, update
from tests.unit.docs.docs_code import has_name
from tests.unit.docs.docs_pages import ROOT

Happens = Callable[[], Awaitable[None]]


async def push() -> Happens:
    """A host without a workload gets its first one."""
    story = Story()
    await story.start()
    await story.quiet(10)

    async def happens() -> None:
        story.push(container("web"))
        await story.quiet(60)
        assert story.status("web").state is WorkloadState.CONVERGED

    return happens


async def detached_disk() -> Happens:
    """The disk of a workload that runs is pulled."""
    story = DiskStory()
    await story.start()
    story.deploy()
    story.drives.plug("sdb1", UUID)
    await story.quiet(30)
    assert story.active

    async def happens() -> None:
        story.drives.pull("sdb1")
        await story.quiet(30)
        assert not story.active
        assert story.status("app").state is WorkloadState.HELD

    return happens


async def killed_container() -> Happens:
    """A container that systemd does not start again is killed."""
    story = await deployed(container("web"), 60)

    async def happens() -> None:
        story.manager("web").units["web.service"].exit(9)
        await story.quiet(30)
        assert story.unit("web").active is ActiveState.ACTIVE

    return happens


async def update_that_goes_back() -> Happens:
    """The newer image does not start."""
    story = await started("a")
    story.world.registry.push("registry.example/a:1", "bad", BROKEN)

    async def happens() -> None:
        report = await update(story, "a")
        assert report.workloads[0].reason == "update-rolled-back"

    return happens


PATHS = {
    "The life of a push": push,
    "The life of a detached disk": detached_disk,
    "The life of a killed container": killed_container,
    "The life of an update that goes back": update_that_goes_back,
}


def told(heading: str) -> list[str]:
    """The hops of a path, from the page."""
    return hops((ROOT / PAGE).read_text(encoding="utf-8"), heading)


@pytest.mark.parametrize("heading", PATHS)
def test_each_hop_of_a_path_is_a_function(heading: str) -> None:
    """A function that was renamed or moved has to be renamed on the page; a path that grows too long is no story."""
    path = told(heading)
    assert 0 < len(path) <= MOST
    assert [hop for hop in path if not has_name(*hop.split(":"))] == []


@pytest.mark.parametrize("heading", PATHS)
@virtual()
async def test_the_hops_are_called_in_that_order(heading: str) -> None:
    """Each after the one before it, from what happens on the host to the status."""
    path, happens = told(heading), await PATHS[heading]()
    with traced(path) as calls:
        await happens()
    assert not_reached(path, calls) == "", calls


def test_a_hop_out_of_order_is_found() -> None:
    """And one that is never called, and a heading that is gone."""
    assert not_reached(["a", "b", "c"], ["a", "c", "b", "b", "c"]) == ""
    assert not_reached(["a", "b", "c"], ["b", "c", "a"]) == "b"
    assert not_reached(["a", "x"], ["a", "b"]) == "x"
    page = (
        "## One\n\n1. `eventd/a.py:A.b`: text\n   more\n2. `eventd/c.py:d`\n\n## Two\n\n1. `eventd/e.py:f`\n"
    )
    assert hops(page, "One") == ["eventd/a.py:A.b", "eventd/c.py:d"]
    with pytest.raises(LookupError):
        hops(page, "Three")


@virtual()
async def test_a_coroutine_that_goes_on_is_one_call() -> None:
    """A function that waits again and again was called once."""
    hop = "tests/simulated/test_paths.py:push"
    with traced([hop]) as calls:
        await push()
    assert calls == [hop]
