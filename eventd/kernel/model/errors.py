"""Errors, with their data: what is wrong, where, and what an operator can do.

Adapters translate every foreign exception (DBusError, OSError, an exit status) into one of these. The class decides
what follows: a `TemporaryError` is retried with backoff, a `PermanentError` is not. Both are retried at once when one
of the facts they name changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventd.kernel.model.facts import FactKey


class EventdError(Exception):
    """The base of all errors that eventd reports.

    `reason`: a stable kebab-case name for scripts (`user-manager-unavailable`). `message`: a sentence without secrets.
    `hint`: what to do, or empty. `wakes_on`: facts whose change causes an immediate retry.
    """

    reason = "error"
    judged = False
    """Nothing was tried: a policy, or the state of the host, forbids it for as long as that does not change."""

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        hint: str = "",
        wakes_on: frozenset[FactKey] = frozenset(),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.wakes_on = wakes_on
        if reason is not None:
            self.reason = reason

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class TemporaryError(EventdError):
    """The error may end by itself.

    Retried after `delay` seconds (None: with backoff), or at once when one of the facts in `wakes_on` changes.
    """

    reason = "temporary"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        hint: str = "",
        delay: float | None = None,
        wakes_on: frozenset[FactKey] = frozenset(),
    ) -> None:
        super().__init__(message, reason=reason, hint=hint, wakes_on=wakes_on)
        self.delay = delay


class PermanentError(EventdError):
    """A retry fails in the same way until somebody changes something."""

    reason = "permanent"


class DeadlineError(TemporaryError):
    """A wait reached its deadline. `message` says what was waited for, and for how many seconds."""

    reason = "deadline"


class DisconnectedError(TemporaryError):
    """A peer (a bus, a socket) is gone. The source that owns the connection reads everything again once it is back."""

    reason = "disconnected"
