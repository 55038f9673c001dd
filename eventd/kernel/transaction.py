"""A transaction: the context of one subject in one run, common to all kinds of subjects.

It reports progress and can be interrupted. Domains subclass it with what their handlers need.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio

from eventd.kernel import document_table
from eventd.kernel.document_table import DocumentTable
from eventd.kernel.draining import Draining
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Emit
from eventd.kernel.model.facts import Facts

T = TypeVar("T")


class SupersededError(EventdError):
    """A newer revision arrived while this one was only waiting. The next run decides again."""

    reason = "superseded"


class EndingError(SupersededError):
    """The daemon stops or the host shuts down; the next process goes on. `error`: what failed meanwhile, if any."""

    reason = "stopping"

    def __init__(self, error: EventdError | None = None) -> None:
        said = "the daemon is stopping"
        super().__init__(f"{said} ({error.message})" if error else said)


def _tell_nobody(_step: str, _state: str, _message: str) -> None:
    pass


@dataclass(slots=True, kw_only=True)
class BaseTransaction:
    """One subject, one run."""

    run: int
    workload: str
    """The subject."""
    commit: str
    facts: Facts
    emit: Emit
    draining: Draining
    interrupt: anyio.Event
    """Set when a newer revision is known. Ends waits for the health of the older one."""
    progress: Callable[[str, str, str], None] = _tell_nobody
    """Called for each step with its title, `begin`, `end` or `failed`, and a sentence."""
    now: Callable[[], float]
    """Seconds since the epoch."""
    conclude: Callable[[Sequence[tuple[DocumentTable[Any], str, Any]]], Awaitable[None]] = (
        document_table.write
    )
    """Writes the last rows of an action and the end of its approval in one transaction."""

    async def unless_superseded(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await `work()`, or raise SupersededError as soon as a newer revision is known.

        Only for waits: the job goes on in systemd, and the next run observes how far it got.
        """
        result: list[T] = []
        failure: list[Exception] = []

        async with anyio.create_task_group() as group:

            async def watch() -> None:
                await self.interrupt.wait()
                group.cancel_scope.cancel()

            async def do() -> None:
                try:
                    result.append(await work())
                except Exception as error:  # noqa: BLE001 - re-raised below, outside of the group
                    failure.append(error)
                group.cancel_scope.cancel()

            group.start_soon(watch)
            group.start_soon(do)
        if failure:
            raise failure[0]
        if not result:
            if self.is_ending:
                raise EndingError
            raise SupersededError("a newer revision came in while this one was waiting")
        return result[0]

    @property
    def is_ending(self) -> bool:
        """Whether the daemon drains or the host shuts down, with the users' managers: an error now says nothing."""
        return self.draining.forbids()

    def excuse(self, error: EventdError) -> None:
        """Raise EndingError instead of `error` if everything is ending; else return."""
        if self.is_ending:
            raise EndingError(error) from error
