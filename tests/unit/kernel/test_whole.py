"""Scope: who is cancelled in the middle of a write leaves memory and disk the same, and no order without its run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from eventd.adoption.model import Grant
from eventd.api.following import asked
from eventd.approvals.controller import Approvals
from eventd.approvals.controller_rules import Rules
from eventd.approvals.model_facts import ApprovalFact
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.document_table import DocumentTable, write
from eventd.kernel.model.draft import Draft, Planned
from eventd.kernel.model.events import Emit
from eventd.kernel.queue import RunHandle
from eventd.kernel.whole import PATIENCE, whole
from eventd.overrides.controller import Overrides
from eventd.overrides.model_facts import OverrideFact
from eventd.state.controller_inventory import Inventory
from eventd.storage.controller_memory import StorageMemory
from eventd.storage.model_facts import StorageFact
from eventd.updates.controller import UpdateController
from eventd.workloads.model_records import FileRecord, Ownership, StartedWith, UnitRecord, WorkloadRecord
from eventd_simulators.faults import Faults
from eventd_simulators.inprocess.life import Life
from eventd_simulators.inprocess.store import Disk, SimStore
from eventd_simulators.virtual_time import virtual

DRAFT = Draft("deletion:web", (Planned("delete", "web", "deletes it"),), ("account web",), "it left")
RECORD = WorkloadRecord("web", 1001, Ownership.CREATED, 1)
TURNS = 200
"""Of the loop; every change takes fewer."""
UNIT, FILE = UnitRecord("u", 1), FileRecord("f", 1)


class Slow(SimStore):
    """Each write takes some turns of the loop before it is on the disk, and some more until that is known."""

    async def _write(self, effect: Callable[[], object]) -> None:
        for _ in range(2):
            await asyncio.sleep(0)
        effect()
        for _ in range(2):
            await asyncio.sleep(0)


@dataclass
class Case:
    """One change of what is remembered."""

    make: Callable[[SimStore, Dispatcher], Any]
    change: Callable[[Any], Awaitable[object]]
    before: Callable[[Any], Awaitable[object]] | None = None


def inventory(store: SimStore, _dispatcher: Dispatcher) -> Inventory:
    return Inventory(store)


def overrides(store: SimStore, dispatcher: Dispatcher) -> Overrides:
    return Overrides(store, dispatcher, lambda: 1.0)


def approvals(store: SimStore, dispatcher: Dispatcher) -> Approvals:
    rules = Rules("machine", "host", nonce=lambda: "0" * 32)
    return Approvals(store, dispatcher.facts, dispatcher.emit, rules, wall=lambda: 1.0)


def updates(store: SimStore, _dispatcher: Dispatcher) -> UpdateController:
    nobody: Any = None
    return UpdateController(nobody, nobody, Inventory(store), nobody, nobody, lambda: 1.0)


def memory(store: SimStore, dispatcher: Dispatcher) -> StorageMemory:
    return StorageMemory(store, dispatcher.emit)


def table(store: SimStore, _dispatcher: Dispatcher) -> DocumentTable[Grant]:
    return DocumentTable(store, "adoption", Grant)


async def known(of: Inventory) -> None:
    """Remember one of everything."""
    await of.workload(RECORD)
    await of.unit("web", "web.service", UNIT)
    await of.started_with("web", "web.service", StartedWith({"/etc/x": "1"}))
    await of.file("web", "/etc/web", FILE)
    await of.made(["/home/web"], 1001, 1)


async def suspended(of: Overrides) -> None:
    await of.suspend("web", "anna", "it is mended")


CASES = {
    "a document": Case(table, lambda of: of.put("web", Grant(1001, 1.0))),
    "two documents": Case(table, lambda of: write([(of, "a", Grant(1, 1.0)), (of, "b", Grant(2, 1.0))])),
    "a workload": Case(inventory, lambda of: of.created("web", 1001, 1)),
    "a grant": Case(inventory, lambda of: of.grant("web", Grant(1001, 1.0))),
    "an adoption": Case(
        inventory, lambda of: of.adopted("web", 1001, 1), lambda of: of.grant("web", Grant(1001, 1.0))
    ),
    "a unit": Case(inventory, lambda of: of.unit("web", "web.service", UNIT)),
    "a unit that goes": Case(inventory, lambda of: of.unit("web", "web.service", None), known),
    "a unit's files": Case(inventory, lambda of: of.started_with("web", "x", StartedWith({"/etc/x": "1"}))),
    "a file": Case(inventory, lambda of: of.file("web", "/etc/web", FILE)),
    "a workload that goes": Case(inventory, lambda of: of.forget("web"), known),
    "a suspension": Case(overrides, suspended),
    "a resumption": Case(overrides, lambda of: of.resume("web", "anna"), suspended),
    "an update": Case(updates, lambda of: of.ask("web", "anna", retry=False)),
    "a request": Case(approvals, lambda of: of.register(DRAFT)),
    "a rejection": Case(
        approvals,
        lambda of: of.reject(next(iter(of.requests)), "root"),
        lambda of: of.register(DRAFT),
    ),
    "a stop": Case(memory, lambda of: of.stop("web", ("web.service",), "it is away", 1.0)),
    "a start": Case(
        memory,
        lambda of: of.started("web", "web.service"),
        lambda of: of.stop("web", ("web.service",), "it is away", 1.0),
    ),
}


def remembered(holder: Any, facts: Any) -> dict[str, Any]:
    """Return all that a holder has in memory, and the facts that it has said."""
    found: dict[str, Any] = {}
    for name in (n for n in dir(holder) if not n.startswith("__")):
        value = getattr(holder, name)
        if isinstance(value, DocumentTable):
            found[name] = dict(value.rows)
    if isinstance(holder, DocumentTable):
        found["rows"] = dict(holder.rows)
    if isinstance(holder, Inventory):
        records = holder.records
        found["records"] = (records.workloads, records.units, records.files, records.granted, records.started)
    for kind in (OverrideFact.SUSPENSION, ApprovalFact.APPROVAL, StorageFact.STOPPED):
        found[kind] = dict(facts.items(kind))
    return found


@pytest.mark.parametrize("how", ["a task", "a scope"])
@pytest.mark.parametrize("name", CASES)
@virtual()
async def test_a_write_that_is_cancelled_at_any_moment_is_in_memory_if_it_is_on_the_disk(
    name: str, how: str
) -> None:
    """What the next life would load is what this one has, its facts included."""
    case, loop = CASES[name], asyncio.get_running_loop()
    for turns in range(TURNS):
        disk, dispatcher, after = Disk(), Dispatcher(), Dispatcher()
        emit: Emit = dispatcher.emit  # type: ignore[assignment]
        store = Slow(Life(emit, Faults(), loop), disk)
        holder = case.make(store, dispatcher)
        await holder.load()
        if case.before is not None:
            await case.before(holder)
        scope = anyio.CancelScope()

        async def work(holder: Any = holder, scope: anyio.CancelScope = scope) -> None:
            with scope:
                await case.change(holder)

        task = asyncio.create_task(work())
        for _ in range(turns):
            await asyncio.sleep(0)
        ended = task.done()
        if how == "a task":
            task.cancel()
        else:
            scope.cancel()
        await asyncio.wait([task])
        again = case.make(store, after)
        await again.load()
        assert remembered(holder, dispatcher.facts) == remembered(again, after.facts), f"after {turns} turns"
        if ended:
            assert turns > 4
            return
    pytest.fail(f"it takes more than {TURNS} turns")


@virtual()
async def test_an_order_is_never_without_the_run_that_is_asked_for_it() -> None:
    """A client hangs up at any moment between the two: both are done, or neither."""
    for turns in range(TURNS):
        done: list[str] = []

        async def begin(_handle: RunHandle, done: list[str] = done) -> None:
            await asyncio.sleep(0)
            done.append("order")
            await asyncio.sleep(0)
            done.append("run")

        nothing: Any = None
        task = asyncio.create_task(asked(nothing, nothing, nothing, begin, wait=False))
        for _ in range(turns):
            await asyncio.sleep(0)
        if task.done():
            assert turns > 2
            return
        task.cancel()
        await asyncio.wait([task])
        assert done in ([], ["order", "run"]), f"after {turns} turns"
    pytest.fail(f"it takes more than {TURNS} turns")


@virtual()
async def test_a_caller_that_is_cancelled_is_not_kept_for_ever() -> None:
    """The disk does not answer: the caller ends after its patience, and the work still comes to its end."""
    disk, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        await disk.wait()
        ended.set()

    loop = asyncio.get_running_loop()
    task = asyncio.create_task(whole(work))
    await asyncio.sleep(1)
    began = loop.time()
    task.cancel()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert loop.time() == began + PATIENCE  # virtual time
    disk.set()
    async with asyncio.timeout(10):
        await ended.wait()


@virtual()
async def test_what_it_returns_and_raises_is_handed_on() -> None:
    """As if it had been awaited."""

    async def fine() -> int:
        await asyncio.sleep(1)
        return 7

    async def wrong() -> None:
        await asyncio.sleep(1)
        raise LookupError

    assert await whole(fine) == 7
    with pytest.raises(LookupError):
        await whole(wrong)
