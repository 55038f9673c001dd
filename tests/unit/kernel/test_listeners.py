"""Scope: whoever subscribes is isolated: one that raises is logged by name, and fails nothing."""

from __future__ import annotations

import logging

import pytest

from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.listeners import Listeners
from eventd.kernel.model.events import KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey, KernelFact
from eventd.kernel.supervise import beside
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container

KEY = FactKey(KernelFact.SOURCE, "here")


def broken(*_args: object) -> None:
    """Raise, whatever it is told."""
    raise ZeroDivisionError


def test_a_listener_that_raises_is_logged_by_its_name_and_the_others_hear(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The news reaches everybody else, and whoever tells it goes on."""
    heard: list[int] = []
    news: Listeners[[int]] = Listeners("a number")
    news.subscribe("the broken one", broken)
    news.subscribe("another", heard.append)
    news(7)
    assert heard == [7]
    assert "the broken one failed when notified of a number" in caplog.text


def test_a_listener_may_end_its_subscription_while_it_is_told() -> None:
    """The list is not the one that is gone through."""
    heard: list[str] = []
    news: Listeners[[]] = Listeners("news")

    def once() -> None:
        heard.append("once")
        stop()

    stop = news.subscribe("once", once)
    news.subscribe("always", lambda: heard.append("always"))
    news()
    news()
    assert heard == ["once", "always", "always"]
    assert len(news) == 1


@virtual()
async def test_a_watcher_of_a_fact_or_an_event_that_raises_fails_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The fact is set, the event is numbered, and the next one hears of both."""
    dispatcher, heard = Dispatcher(), []
    dispatcher.facts.watch((KEY,), broken)
    dispatcher.facts.watch((KEY,), lambda key: heard.append(str(key)))
    dispatcher.subscribe("the broken one", broken)
    dispatcher.subscribe("another", lambda event: heard.append(event.subject))
    dispatcher.emit(KernelOrigin.DAEMON, KernelEvent.READ, "x", facts=[(KEY, True)])
    assert heard == ["source:here", "x"]
    assert dispatcher.facts.get(KEY) is True
    assert "broken failed when notified of a changed fact" in caplog.text
    assert "the broken one failed when notified of an event" in caplog.text


@virtual()
async def test_who_follows_a_run_and_raises_fails_no_step_and_leaves_none_open() -> None:
    """Every step is told, every one raises, and the host converges with a closed journal."""
    story = Story()
    await story.start()
    told: list[str] = []

    def follow(step: object) -> None:
        told.append(str(step))
        raise ZeroDivisionError

    story.engine.steps.subscribe("a broken follower", follow)
    story.engine.passes.subscribe("a broken follower", broken)
    story.push(container("web"))
    await story.quiet()
    assert told
    await story.assert_converged()
    assert not story.world.disk.steps


@virtual()
async def test_what_runs_beside_the_daemon_ends_alone(caplog: pytest.LogCaptureFixture) -> None:
    """The boot log, the sizes and the status files: nothing stands on them."""

    async def fails() -> None:
        raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        await beside("the boot log", fails)
    assert "the boot log ended with ZeroDivisionError" in caplog.text
