"""A transaction: one workload's part of one run, as the handlers see it.

Carries what changes on the way (a new account gets its uid, files change under a running manager), and the means
to journal and to be cut short. Handlers get nothing else of the runtime.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import anyio

from eventd.core.desired import HostPort
from eventd.core.errors import EventdError, PermanentError
from eventd.core.events import Emit
from eventd.core.facts import FactKey, Facts
from eventd.core.gates import OPEN, WorkloadGates
from eventd.core.layout import Layout, manager_unit
from eventd.core.options_place import OptionsPlace
from eventd.core.predicates import Predicate
from eventd.kernel.action import Action
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.runtime import shelf
from eventd.runtime.host import Host
from eventd.runtime.ledger import Ledger
from eventd.runtime.shelf import Shelf
from eventd.workloads.model_recovery import is_down

T = TypeVar("T")
SHUTDOWN = FactKey(PlatformFact.SHUTDOWN)
CALLED_OFF = "start-called-off"
"""The reason of a start whose job somebody ended: no fault of the unit's."""


class SupersededError(EventdError):
    """A newer revision arrived while this one was only waiting; the next run decides afresh."""

    reason = "superseded"


class EndingError(SupersededError):
    """The daemon stops, or the host goes down: the next daemon goes on. `error`: what failed meanwhile, if anything."""

    reason = "stopping"

    def __init__(self, error: EventdError | None = None) -> None:
        said = "the daemon stops; the next one goes on"
        super().__init__(f"{said} ({error.message})" if error else said)


class UnitFailedError(EventdError):
    """A unit did not start, or did not stay up."""

    reason = "unit-failed"

    def __init__(
        self, message: str, *, unit: str, reason: str, hint: str = "", log: Sequence[str] = ()
    ) -> None:
        super().__init__(message, reason=reason, hint=hint)
        self.unit = unit
        self.log = tuple(log)
        """What the unit said when it failed; empty: its last lines are what it said."""


@dataclass(slots=True)
class Transaction:
    """One workload, one run."""

    run: int
    workload: str
    commit: str
    host: Host
    ledger: Ledger
    facts: Facts
    emit: Emit
    layout: Layout
    owner_uid: int
    interrupt: anyio.Event
    """Set when a newer revision is known: waits for an older revision's health end."""
    stopping: Callable[[], bool] = field(default=lambda: False)
    """The daemon drains: the step that is on is ended, and no other begun."""
    gates: WorkloadGates = OPEN
    place: OptionsPlace = field(default_factory=OptionsPlace)
    """Where the workload's options are written, for hints."""
    ports: Callable[[], Mapping[str, Sequence[HostPort]]] = field(default=dict)
    """Which ports of the host each workload publishes, to tell who has one."""
    expecting: Callable[[Predicate | None], None] = field(default=lambda _predicate: None)
    """Told what the verification waits for (None: no longer), so that it is probed if need be."""
    account: Account | None = None
    restore: frozenset[str] = frozenset()
    """Units on demand that have to run at the end: they did before a change that is taken back."""
    rewritten: bool = False
    """Files changed while the manager was up."""
    reloads: int = 0
    invocations: dict[str, str] = field(default_factory=dict)
    """Unit -> invocation at the moment of the last reload."""
    progress: Callable[[str, str, str], None] = field(default=lambda _step, _state, _message: None)
    now: Callable[[], float] = time.time
    conclude: Callable[[Sequence[tuple[Shelf[Any], str, Any]]], Awaitable[None]] = shelf.write
    """Write the last rows of an action, together with the end of the approval that it was carried out under."""

    def user(self) -> Account:
        """Return the account; a plan that gets here without one is a bug."""
        if self.account is None:
            raise PermanentError(f"{self.workload} has no account", reason="no-account")
        return self.account

    def manager_is_down(self) -> bool:
        """Tell whether the user's manager is known not to run: one that starts later reads the files as they are."""
        return self.account is not None and is_down(
            as_unit(self.facts.get(FactKey(PlatformFact.UNIT, manager_unit(self.account.uid))))
        )

    async def unless_superseded(self, work: Callable[[], Awaitable[T]]) -> T:
        """Await `work()`, or raise SupersededError as soon as a newer revision is known.

        Only for waits: what is cut off here goes on in systemd, and the next run looks at where it got to.
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
        """The daemon drains, or the host goes down, and the users' managers with it: what fails now says nothing."""
        return self.stopping() or self.facts.get(SHUTDOWN) is True

    def excuse(self, error: EventdError) -> None:
        """Raise EndingError in the place of an error that says nothing, as all is ending; else return."""
        if self.is_ending:
            raise EndingError(error) from error


class Handler(Protocol):
    """Carries out one kind of action. Raises EventdError; returning means done."""

    async def __call__(self, action: Action, tx: Transaction) -> None:
        """Do it."""
        ...
