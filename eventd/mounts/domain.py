"""The mounts domain: what it adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.files.source_named import NamedFiles
from eventd.files.source_watched import WatchedFiles
from eventd.kernel.domain import Context, Domain, Source
from eventd.mounts.model_events import MountEvent, MountOrigin
from eventd.mounts.model_facts import MountFact
from eventd.mounts.source import MountsSource
from eventd.mounts.source_devices import DevicesSource
from eventd.mounts.source_kernel_errors import KernelErrorsSource
from eventd.platform.journal_follow import JournalFollow


def connect(context: Context) -> Iterable[Source]:
    """Watch mounts and disks; a mount changes what is at the paths that others watch."""
    watched, named = context.need(WatchedFiles), context.need(NamedFiles)

    def changed(points: Iterable[str]) -> None:
        watched.invalidate(points)
        named.invalidate(points)

    mounts = context.share(MountsSource, MountsSource(context.emit, changed=changed))
    errors = KernelErrorsSource(context.emit, JournalFollow(), mounts.refresh)
    context.share(KernelErrorsSource, errors)
    devices = DevicesSource(context.emit)
    return (
        Source("mounts", mounts.run, mounts.state, mounts.reread),
        Source("kernel-errors", errors.run, errors.state),
        Source("devices", devices.run, devices.state, devices.reread),
    )


DOMAIN = Domain(
    name="mounts",
    facts=(MountFact,),
    events=(MountEvent,),
    origins=(MountOrigin,),
    connect=connect,
)
