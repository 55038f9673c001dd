"""What the domain `waits` adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.kernel.domain import Context, Domain, Source
from eventd.platform.systemd.source import SystemSource
from eventd.waits.adapter_live_graph import LiveGraphReader


def connect(context: Context) -> Iterable[Source]:
    """Share the reader of the host's unit dependencies."""
    context.share(LiveGraphReader, LiveGraphReader(context.facts, context.need(SystemSource).live_unit))
    return ()


DOMAIN = Domain(
    name="waits",
    connect=connect,
)
