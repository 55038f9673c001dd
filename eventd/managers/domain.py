"""What the domain `managers` adds to eventd."""

from __future__ import annotations

from collections.abc import Iterable

from eventd.kernel.domain import Context, Domain, Source
from eventd.managers.model_action_table import ACTIONS
from eventd.managers.model_actions import DisableLinger, EnableLinger, Reload, StartManager, StopManager
from eventd.managers.source import UserManagersSource
from eventd.managers.source_doctor import ManagerDoctor
from eventd.platform.inotify import GuardedInotify
from eventd.platform.systemd.ports import UserManagers
from eventd.platform.systemd.source import SystemSource
from eventd_handlers import managers


def connect(context: Context) -> Iterable[Source]:
    """Connect to the managers of workloads' users."""
    source = UserManagersSource(
        context.emit,
        context.facts,
        context.need(GuardedInotify),
        address=context.settings.dbus.user,
        as_user=context.local,
    )
    context.share(UserManagersSource, source)
    context.share(UserManagers, source)
    if context.local:
        context.share(ManagerDoctor, ManagerDoctor(context.facts, context.need(SystemSource), source))
    return (Source("user-managers", source.run, reread=source.reread),)


DOMAIN = Domain(
    name="managers",
    actions=ACTIONS,
    connect=connect,
    handlers={
        EnableLinger: managers.enable_linger,
        DisableLinger: managers.disable_linger,
        StartManager: managers.start,
        StopManager: managers.stop,
        Reload: managers.reload,
    },
)
