"""Scope: an account's own files are moved aside wholly: though the client hangs up, and though the daemon is killed."""

from __future__ import annotations

import asyncio
import contextlib

from eventd.adoption.model_finds import Finds
from eventd.platform.model_facts import Account
from eventd_simulators.virtual_time import run
from tests.simulated.daemon import Story

HAS = Finds(quadlets=(".config/containers/systemd/old.container",))


def moves(story: Story) -> list[str]:
    """Return the moves that this life has begun."""
    return [call for call in story.host.life.calls if call.startswith("move-aside")]


async def begun(story: Story) -> tuple[Account, asyncio.Task[object]]:
    """Start a daemon, and a request that is in the middle of the move."""
    await story.start()
    account = story.world.model.accounts.add("media", shell="/bin/bash")
    story.world.finds["media"] = HAS
    request: asyncio.Task[object] = asyncio.ensure_future(story.engine.commands.move_aside(account))
    while not moves(story):  # noqa: ASYNC110 - virtual time, and a call is not an event
        await asyncio.sleep(0.001)
    assert story.world.finds["media"] == HAS, "it has only begun"
    return account, request


def test_a_client_that_hangs_up_ends_nothing() -> None:
    """The move goes on to its end, and nothing of it is left to be done."""

    async def main() -> None:
        story = Story()
        _, request = await begun(story)
        request.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await request
        await story.quiet(20)
        assert story.world.finds["media"].files == ()
        assert not story.engine.aside.begun.rows

    run(main())


def test_a_move_that_a_crash_cut_off_is_completed_into_the_same_folder() -> None:
    """The next life does it by itself, and once."""

    async def main() -> None:
        story = Story()
        _, request = await begun(story)
        (folder,) = (row.folder for row in story.engine.aside.begun.rows.values())
        await story.kill()
        request.cancel()
        with contextlib.suppress(BaseException):
            await request
        assert story.world.finds["media"] == HAS
        await asyncio.sleep(100)
        await story.start()
        await story.quiet(20)
        assert story.world.finds["media"].files == ()
        assert moves(story) == [f"move-aside /home/media/{folder}"]
        assert not story.engine.aside.begun.rows
        await story.kill()
        await story.start()
        await story.quiet(20)
        assert not moves(story)

    run(main())


def test_the_move_of_an_account_that_is_another_by_now_is_forgotten() -> None:
    """Its name was given to somebody else while the daemon was down: their files stay where they are."""

    async def main() -> None:
        story = Story()
        account, request = await begun(story)
        await story.kill()
        request.cancel()
        with contextlib.suppress(BaseException):
            await request
        story.world.model.accounts.add("last")
        story.world.model.accounts.remove("media")
        assert story.world.model.accounts.add("media").uid != account.uid
        await story.start()
        await story.quiet(20)
        assert story.world.finds["media"] == HAS
        assert not story.engine.aside.begun.rows

    run(main())
