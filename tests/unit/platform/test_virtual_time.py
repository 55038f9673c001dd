"""Scope: the loop on virtual time: its clock, its refusals, its deadlock."""

from __future__ import annotations

import asyncio
import time

import anyio
import pytest

from eventd_simulators.virtual_time import (
    DeadlockError,
    TimeLimitError,
    VirtualTimeError,
    current_random,
    run,
    virtual,
)


def test_a_long_wait_costs_no_time() -> None:
    """A day of waiting passes on the loop's clock and not on the wall's."""

    async def main() -> float:
        before = asyncio.get_running_loop().time()
        await asyncio.sleep(80_000)
        return asyncio.get_running_loop().time() - before

    started = time.monotonic()
    assert run(main()) == pytest.approx(80_000)
    assert time.monotonic() - started < 8000


def test_timers_fire_in_order_of_their_time() -> None:
    """Waits end in the order of their deadlines, whatever the order they began in."""

    async def main() -> list[int]:
        seen: list[int] = []

        async def wait(seconds: int) -> None:
            await asyncio.sleep(seconds)
            seen.append(seconds)

        async with asyncio.TaskGroup() as group:
            for seconds in (30, 10, 20):
                group.create_task(wait(seconds))
        return seen

    assert run(main()) == [10, 20, 30]


def test_anyio_deadlines_are_virtual() -> None:
    """An anyio cancel scope expires at its virtual deadline, exactly."""

    async def main() -> float:
        start = anyio.current_time()
        with pytest.raises(TimeoutError):
            with anyio.fail_after(45):
                await anyio.sleep_forever()
        return anyio.current_time() - start

    assert run(main()) == pytest.approx(45)


def test_deadlock_is_an_error_that_names_the_waiters() -> None:
    """A wait that nothing can end is reported at once, with the task that waits."""

    async def stuck() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        await asyncio.create_task(stuck(), name="stuck-one")

    with pytest.raises(DeadlockError, match="stuck-one"):
        run(main())


def test_endless_polling_reaches_the_limit() -> None:
    """A loop that sleeps and looks for ever is stopped by the virtual limit."""

    async def main() -> None:
        while True:  # noqa: ASYNC110
            await asyncio.sleep(1)

    with pytest.raises(TimeLimitError, match="100 virtual seconds"):
        run(main(), limit=100)


def test_threads_processes_and_sockets_are_refused() -> None:
    """What depends on the real machine raises instead of hanging."""

    async def thread() -> None:
        await asyncio.to_thread(time.monotonic)

    async def process() -> None:
        await asyncio.create_subprocess_exec("true")

    async def connection() -> None:
        await asyncio.open_unix_connection("/nowhere")

    async def server() -> None:
        await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)

    for refused in (thread, process, server, connection):
        with pytest.raises(VirtualTimeError):
            run(refused())


def test_the_same_seed_gives_the_same_chances() -> None:
    """Chance comes from the seed: equal for equal seeds, different for others."""

    async def main() -> list[float]:
        return [current_random().random() for _ in range(3)]

    assert run(main(), seed=7) == run(main(), seed=7)
    assert run(main(), seed=7) != run(main(), seed=8)


def test_left_over_tasks_are_cancelled() -> None:
    """A task that outlives the main one is cancelled, and its clean-up runs."""
    cleaned: list[bool] = []

    async def left() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            cleaned.append(True)

    async def main() -> None:
        left_over = asyncio.create_task(left())
        await asyncio.sleep(0)
        assert not left_over.done()

    run(main())
    assert cleaned == [True]


@virtual(seed=3)
async def test_the_decorator_runs_a_test_on_virtual_time(tmp_path: object) -> None:
    """A decorated async test gets its fixtures and the virtual clock."""
    assert tmp_path is not None
    await asyncio.sleep(5000)


def test_thousands_of_schedules_a_minute() -> None:
    """A small schedule takes well under 10 ms of processor, loop and all: no one waits, and nothing piles up."""

    async def main() -> None:
        await asyncio.gather(*(asyncio.sleep(n) for n in range(50)))

    started = time.process_time()
    for seed in range(50):
        run(main(), seed=seed)
    assert time.process_time() - started < 10  # twenty times what it takes
