"""Passes pushes on to the daemon: `POST /v1/pushed` on its unix socket.

Owns one request with a deadline, and the meaning of its answer. Each push has a connection of its own: there are few
pushes, and a restart of the daemon in between needs no handling.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import aiohttp

if TYPE_CHECKING:
    from eventd.webhook.process_payload import Push


class Outcome(StrEnum):
    """The outcome of a push."""

    TAKEN = "taken"
    """The daemon answered 202."""
    REFUSED = "refused"
    """The daemon answered 4xx: a retry will not help."""
    UNREACHABLE = "unreachable"
    """No daemon, no answer in time, or any other answer: worth a retry."""


@dataclass(frozen=True, slots=True)
class Relayed:
    """The outcome, and a detail for the log."""

    outcome: Outcome
    detail: str = ""


class Relay:
    """A client of the daemon's socket."""

    def __init__(self, socket: str, timeout: float) -> None:
        self._socket = socket
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def pushed(self, hook: str, delivery: str, push: Push) -> Relayed:
        """Pass a push on, within the timeout in seconds."""
        body = {
            "repository": push.repository,
            "branch": push.branch,
            "commit": push.commit,
            "delivery": delivery,
            "hook": hook,
        }
        connector = aiohttp.UnixConnector(self._socket)
        try:
            async with (
                aiohttp.ClientSession(connector=connector, timeout=self._timeout) as session,
                session.post("http://localhost/v1/pushed", json=body, allow_redirects=False) as answer,
            ):
                status = answer.status
        except TimeoutError:
            return Relayed(Outcome.UNREACHABLE, "no answer in time")
        except aiohttp.ClientError as error:
            return Relayed(Outcome.UNREACHABLE, type(error).__name__)
        if status == 202:
            return Relayed(Outcome.TAKEN)
        outcome = Outcome.REFUSED if 400 <= status < 500 and status not in (408, 429) else Outcome.UNREACHABLE
        return Relayed(outcome, f"answered {status}")
