"""Actions: the steps of a plan. Each is a value that names what it changes and why.

A handler (`eventd_handlers`) carries one out; the journal stores its `describe()`; a policy gives a verdict on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from eventd.containers.model_podman_damage import Damage
from eventd.desired.model import InstallFile

STOP_TIMEOUT = 100.0
"""Seconds to wait for a stop job: systemd kills after DefaultTimeoutStopSec, 90 s by default."""


class _OnUser:
    """Changes the workload's user."""

    __slots__ = ()
    workload: str

    @property
    def target(self) -> str:
        """The user name."""
        return self.workload


class _OnUnit:
    """Changes a unit."""

    __slots__ = ()
    unit: str

    @property
    def target(self) -> str:
        """The unit."""
        return self.unit


@dataclass(frozen=True, slots=True)
class CreateAccount(_OnUser):
    """Create the Linux user with home and subordinate ids."""

    workload: str
    why: str = "the account does not exist"
    verb = "create-account"


@dataclass(frozen=True, slots=True)
class AdoptAccount(_OnUser):
    """Adopt an existing account that root has handed over."""

    workload: str
    uid: int
    why: str = "it was handed over by eventctl adopt"
    verb = "adopt-account"


@dataclass(frozen=True, slots=True)
class CompleteAccount(_OnUser):
    """Add subordinate ids (subuid(5)) to an account of eventd's that lacks them for rootless containers."""

    workload: str
    why: str = "it has no subordinate ids"
    verb = "complete-account"


@dataclass(frozen=True, slots=True)
class InspectStore(_OnUser):
    """List the podman volumes of an adopted account, before anything is created beside them."""

    workload: str
    why: str = "it may have the volumes of an earlier deployment"
    verb = "inspect-store"


@dataclass(frozen=True, slots=True)
class PutFile:
    """Write one file; its folder depends on the uid, which a new account gets only when it is created."""

    workload: str
    file: InstallFile
    why: str
    verb = "put-file"

    @property
    def target(self) -> str:
        """The name below the folder of its role."""
        return f"{self.file.role}:{self.file.name}"


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Remove a file that eventd wrote."""

    workload: str
    path: str
    why: str
    verb = "remove-file"

    @property
    def target(self) -> str:
        """The absolute path."""
        return self.path


@dataclass(frozen=True, slots=True)
class EnableLinger(_OnUser):
    """SetUserLinger(true): the user's manager runs from boot on, without a login."""

    workload: str
    why: str = "the user does not linger"
    verb = "enable-linger"


@dataclass(frozen=True, slots=True)
class DisableLinger(_OnUser):
    """SetUserLinger(false)."""

    workload: str
    why: str
    verb = "disable-linger"


@dataclass(frozen=True, slots=True)
class StartManager(_OnUser):
    """Start `user@UID.service` and connect to its bus."""

    workload: str
    why: str = "the user's manager is not up"
    verb = "start-manager"


@dataclass(frozen=True, slots=True)
class StopManager(_OnUser):
    """Stop `user@UID.service`."""

    workload: str
    why: str
    verb = "stop-manager"


@dataclass(frozen=True, slots=True)
class Reload(_OnUser):
    """Reload the user's manager (daemon-reload); not needed if the manager started after the last file was written."""

    workload: str
    why: str
    verb = "reload"


@dataclass(frozen=True, slots=True)
class StopUnit(_OnUnit):
    """Stop a unit that is no longer wanted."""

    workload: str
    unit: str
    why: str
    timeout: float
    verb = "stop-unit"


@dataclass(frozen=True, slots=True)
class StartUnit(_OnUnit):
    """Start a unit and await its job."""

    workload: str
    unit: str
    digest: str
    why: str
    timeout: float
    named: tuple[str, ...] = ()
    """The host's files that it reads at start, by their paths as written."""
    reset: bool = False
    """Reset its failure first, so that systemd's start limit does not refuse a changed or requested start."""
    verb = "start-unit"


@dataclass(frozen=True, slots=True)
class StartAgain(StartUnit):
    """Start a unit that was stopped because a volume was detached, and clear that note."""


@dataclass(frozen=True, slots=True)
class RestartUnit(_OnUnit):
    """Restart a unit whose content changed, unless it has been started since the reload."""

    workload: str
    unit: str
    digest: str
    why: str
    timeout: float
    named: tuple[str, ...] = ()
    """As in StartUnit."""
    verb = "restart-unit"


@dataclass(frozen=True, slots=True)
class RecordFiles(_OnUnit):
    """Record the contents of the host's files for a unit that eventd did not start, or started without knowing them."""

    workload: str
    unit: str
    files: tuple[tuple[str, str], ...]
    """Path and keyed digest."""
    why: str
    verb = "record-files"


@dataclass(frozen=True, slots=True)
class Verify:
    """Verify that the units are up, and stay up for the grace; only then is the revision applied."""

    workload: str
    units: tuple[str, ...]
    digest: str
    """`Workload.digest`."""
    deadline: float
    grace: float
    why: str
    verb = "verify"

    @property
    def target(self) -> str:
        """The units."""
        return " ".join(self.units)


@dataclass(frozen=True, slots=True)
class Orphan(_OnUser):
    """Record that the workload left the repository: its units are gone, its account and data are kept."""

    workload: str
    why: str
    verb = "retain"


@dataclass(frozen=True, slots=True)
class DeleteAccount:
    """Delete the account of a removed workload with its home: its data is lost."""

    workload: str
    """The controller's subject, `deletion:NAME`."""
    account: str
    uid: int
    home: str
    made_by: int
    """The run that made the account."""
    why: str
    verb = "delete-account"

    @property
    def target(self) -> str:
        """The user name."""
        return self.account


@dataclass(frozen=True, slots=True)
class ResetStore:
    """Move a damaged file of an account's podman store aside, and start everything of the account again."""

    workload: str
    """The controller's subject, `store:NAME`."""
    account: str
    uid: int
    home: str
    damage: Damage
    why: str
    verb = "reset-store"

    @property
    def target(self) -> str:
        """The file."""
        return self.damage.path


@dataclass(frozen=True, slots=True)
class RenameAccount:
    """Rename the account of a removed workload to that of its new name; its home stays."""

    workload: str
    """The controller's subject, `rename:NEW`."""
    old: str
    new: str
    uid: int
    why: str
    verb = "rename-account"

    @property
    def target(self) -> str:
        """Both names."""
        return f"{self.old} {self.new}"


@dataclass(frozen=True, slots=True)
class PullImages:
    """Pull images into the store of the workload's user; tags move, running containers are not touched."""

    workload: str
    references: tuple[str, ...]
    timeout: float
    """For each."""
    why: str
    verb = "pull-images"

    @property
    def target(self) -> str:
        """The references."""
        return " ".join(self.references)


@dataclass(frozen=True, slots=True)
class TagImages:
    """Tag images with the references that named them before."""

    workload: str
    images: tuple[tuple[str, str], ...]
    """Image id and reference."""
    why: str
    verb = "tag-images"

    @property
    def target(self) -> str:
        """The references, with the beginning of the id."""
        return " ".join(f"{reference}={image[:12]}" for image, reference in self.images)


STARTS = (StartUnit, RestartUnit)
