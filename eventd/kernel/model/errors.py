"""Errors, each with its data: what went wrong, with what, and what an operator can do.

Adapters translate every foreign exception (DBusError, OSError, an exit status) into one of these
before it leaves them. The runtime looks at nothing but the class: a `TemporaryError` is retried with
backoff and woken by the facts it names, a `PermanentError` waits until its cause changes: one of those facts, if it
names any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eventd.kernel.model.facts import FactKey


class EventdError(Exception):
    """Anything that eventd itself reports.

    `reason` is a stable, kebab-case name for scripts (`user-manager-unavailable`); `message` is a sentence
    without secrets; `hint` says what to do about it, or is empty. What failed with it is tried again at once when
    one of the facts in `wakes_on` changes.
    """

    reason = "error"
    judged = False
    """Nothing was tried: a policy, or what is seen of the host, forbids it. It lasts as long as that does."""

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
    """May pass by itself.

    Retried after `delay` seconds (None: the runtime's backoff decides), or at once when one of the facts in
    `wakes_on` changes.
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
    """Will fail again the same way until somebody changes something."""

    reason = "permanent"


class DeadlineError(TemporaryError):
    """A wait reached its deadline. `message` names what was waited for and for how many seconds."""

    reason = "deadline"


class DisconnectedError(TemporaryError):
    """A peer (a bus, a socket) went away; the source that owns the connection re-reads once it is back."""

    reason = "disconnected"
