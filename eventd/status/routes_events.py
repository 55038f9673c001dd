"""The route of events, from the ring buffer and as they come."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from eventd.api import answers
from eventd.api.model_rights import Right, Scope, View
from eventd.api.routing import Api, Needs, Route
from eventd.kernel.model.events import Event, KernelEvent, KernelOrigin
from eventd.status import documents_own as own
from eventd.status import documents_run

EVENTS = Right("events", Scope.ALL, Scope.OWN, "What happened on the host: `eventctl events`")

PAGE = 64
"""Events per page; other callers get their turn between two pages."""


async def _events(api: Api, request: web.Request, view: View) -> web.StreamResponse:
    queries, last = api.queries, answers.number(request, "since", 0)
    follow = request.query.get("follow") == "1"
    if last > queries.sequence:
        last = 0  # a sequence number of an earlier daemon process
    if latest := answers.number(request, "last", 0):
        seen = [event.sequence for event in queries.events_since(last) if own.sees(event, view)]
        last = seen[-latest] - 1 if len(seen) > latest else last
    response = await answers.stream(request, follows=follow)
    while True:
        newer = queries.events_since(last)
        for start in range(0, len(newer), PAGE):
            page, last = _page(newer[start : start + PAGE], last, view)
            if page and not await answers.lines(response, page):
                return response  # the reader is gone
            await answers.turn(request)
        if not follow or not await api.or_end(lambda: queries.event_after(last)):  # noqa: B023 - awaited here
            return response


def _page(events: Sequence[Event], last: int, view: View) -> tuple[list[documents_run.EventRow], int]:
    """Return the lines of the events after `last` for a reader, and the new `last`."""
    page: list[documents_run.EventRow] = []
    for event in events:
        if 0 < last < event.sequence - 1:
            page.append(_missed(last, event))
        last = event.sequence
        if own.sees(event, view):
            page.append(documents_run.event(event))
    return page, last


def _missed(last: int, event: Event) -> documents_run.EventRow:
    """Return the row for the events that a slow reader missed."""
    gap = Event(
        event.sequence - 1,
        KernelOrigin.DAEMON,
        KernelEvent.GAP,
        "events",
        event.monotonic,
        event.wall,
        attributes={"missed": event.sequence - 1 - last},
    )
    return documents_run.event(gap)


ROUTES = (
    Route(
        "GET",
        "/v1/events",
        EVENTS,
        _events,
        "the [events](#event) in memory, as lines; with `?since=N`, those after sequence number N; "
        "with `last=N`, only the latest N of them; with `follow=1`, also those to come",
        needs=Needs.NOTHING,
        document=None,
        lines=documents_run.EventRow,
    ),
)
