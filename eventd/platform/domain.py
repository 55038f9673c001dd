"""What the platform adds to eventd: its kinds of facts and events, and the policy about sources."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.kernel import ports
from eventd.kernel.domain import Context, Domain, PolicyRow, Source, Stage
from eventd.platform.host_lock import HostLock
from eventd.platform.inotify import GuardedInotify, Inotify
from eventd.platform.model_events import PlatformEvent, PlatformOrigin
from eventd.platform.model_facts import PlatformFact
from eventd.platform.ports import UnitLog
from eventd.platform.processes.unit_process import Processes
from eventd.platform.systemd.ports import Logins, Manager
from eventd.platform.systemd.source import SystemSource
from eventd.platform.systemd.source_logind import LOGIND_UNIT, LogindSource
from eventd.platform.unit_log import JournalReader
from eventd_policies.sources import sources


def connect(context: Context) -> Iterable[Source]:
    """Connect to systemd and logind, and share the platform's objects."""
    settings, emit = context.settings, context.emit
    inotify, guarded = context.share(Inotify, Inotify()), context.share(GuardedInotify, GuardedInotify())
    system = SystemSource(emit, address=settings.dbus.system, watch=frozenset({LOGIND_UNIT.name}))
    logind = LogindSource(
        emit,
        inotify,
        address=settings.dbus.system,
        linger_folder=settings.paths.linger,
        facts=context.facts,
    )
    context.share(SystemSource, system)
    context.share(Manager, system)
    context.share(Logins, logind)
    context.share(Processes, Processes(system=settings.dbus.system, user=settings.dbus.user))
    context.share(UnitLog, JournalReader())
    context.share(ports.HostLock, HostLock(f"{settings.paths.runtime}/lock"))
    return (
        Source("inotify", inotify.run, vital=True),
        Source("guarded-inotify", guarded.run, vital=True),
        Source("systemd", system.run, system.state, system.reread),
        Source("logind", logind.run, logind.state, logind.reread),
    )


DOMAIN = Domain(
    name="platform",
    facts=(PlatformFact,),
    events=(PlatformEvent,),
    origins=(PlatformOrigin,),
    policies=(PolicyRow(Stage.KNOWN, lambda _host: sources),),
    connect=connect,
)
