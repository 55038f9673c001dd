"""Actions on user managers."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.workloads.model_actions import OnUser


@dataclass(frozen=True, slots=True)
class EnableLinger(OnUser):
    """SetUserLinger(true): the user's manager runs from boot on, without a login."""

    why: str = "the user does not linger"
    verb = "enable-linger"


@dataclass(frozen=True, slots=True)
class DisableLinger(OnUser):
    """SetUserLinger(false)."""

    why: str
    verb = "disable-linger"


@dataclass(frozen=True, slots=True)
class StartManager(OnUser):
    """Start `user@UID.service` and connect to its bus."""

    why: str = "the user's manager is not up"
    verb = "start-manager"


@dataclass(frozen=True, slots=True)
class StopManager(OnUser):
    """Stop `user@UID.service`."""

    why: str
    verb = "stop-manager"


@dataclass(frozen=True, slots=True)
class Reload(OnUser):
    """Reload the user's manager (daemon-reload); not needed if the manager started after the last file was written."""

    why: str
    verb = "reload"
