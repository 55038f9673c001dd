"""HTTP, as the routes need it: bodies in, JSON documents and lines out, each within its limits.

Decides nothing; who may ask is `access`, what is answered the routes'. The serialiser is `model_answers.encoded`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from eventd.api.model_answers import Ended, Refusal, encoded
from eventd.api.visit import pace_of, visit_of
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.supervise import bug

M = TypeVar("M", bound=BaseModel)
log = logging.getLogger(__name__)
MAX_BODY = 64 * 1024
DIGITS = 18
"""Digits of a number in a query."""
BODY_TIMEOUT = 10.0
"""Seconds for a request's body to arrive."""
WRITE_TIMEOUT = 300.0
"""Seconds that a follower may leave its stream unread before the connection is closed."""


class Body(BaseModel):
    """A request's body: an unknown field is refused. By itself: an empty one."""

    model_config = ConfigDict(extra="forbid")


class Waiting(Body):
    """The body of a request that may wait for the run that it causes."""

    wait: bool = False


async def body(request: web.Request, model: type[M]) -> M:
    """Return the body of a request. Raises PermanentError(reason="bad-request")."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            read = await request.read()
    except TimeoutError:
        raise PermanentError(
            f"the body did not arrive within {BODY_TIMEOUT:g} s", reason="bad-request"
        ) from None
    try:
        return model.model_validate_json(read or b"{}")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise PermanentError(
            f"{key}: {first['msg']}" if key else first["msg"], reason="bad-request"
        ) from error


def number(request: web.Request, key: str, default: int, *, lowest: int = 0, most: int = 10**DIGITS) -> int:
    """Return a number of the query. Raises PermanentError(reason="bad-request")."""
    text = request.query.get(key, str(default))
    if not text.isdecimal() or len(text) > DIGITS or not lowest <= int(text) <= most:
        raise PermanentError(f"{key} must be {lowest} to {most}", reason="bad-request")
    return int(text)


def document(content: object, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return web.Response(text=encoded(content), status=status, content_type="application/json")


def refusal(status: int, reason: str, message: str, hint: str) -> web.Response:
    """Return an error as JSON."""
    return document(Refusal(error={"reason": reason, "message": message, "hint": hint}), status)


class TooManyError(EventdError):
    """The caller has reached its limit."""

    reason = "too-many-requests"


async def stream(request: web.Request, *, follows: bool = True) -> web.StreamResponse:
    """Begin an answer of JSON lines; `follows`: it has no end of its own. Raises TooManyError."""
    visit = visit_of(request)
    if follows and visit is not None and not visit.follows():
        raise TooManyError("you have too many open streams", hint="end another one first")
    response = web.StreamResponse(
        headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"}
    )
    response.force_close()
    await response.prepare(request)
    return response


async def line(response: web.StreamResponse, content: Mapping[str, object]) -> bool:
    """Write one line; return False if the reader is gone."""
    return await lines(response, (content,))


async def lines(response: web.StreamResponse, page: Iterable[Mapping[str, object]]) -> bool:
    """Write a page of lines at once; return False if the reader is gone."""
    text = "".join(map(encoded, page))
    try:
        async with asyncio.timeout(WRITE_TIMEOUT):
            await response.write(text.encode())
    except (ConnectionError, TimeoutError):
        return False
    return True


async def turn(request: web.Request) -> None:
    """Yield to other callers before an answer continues, and wait if the caller's kind has used up its time."""
    await asyncio.sleep(0)  # the time of this step is counted when it ends
    pace = pace_of(request)
    if pace is not None:
        await pace.turn()


def stopping() -> Ended:
    """Return the last line of a stream that ends because the daemon stops."""
    return {"type": "error", "reason": "stopping", "message": "the daemon is stopping"}


@web.middleware
async def errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Turn every exception of a route into a JSON answer."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return refusal(error.status, "http", error.reason, "")
    except TooManyError as error:
        return refusal(429, error.reason, error.message, error.hint)
    except EventdError as error:
        missing = error.reason.startswith("no-such")
        return refusal(404 if missing else 400, error.reason, error.message, error.hint)
    except Exception as error:
        log.exception("bug: %s %s ended with %s", request.method, request.path, type(error).__name__)
        found = bug(error)
        return refusal(500, found.reason, found.message, found.hint)
