"""Records of workloads that left the repository, or whose data is to be deleted when they leave.

Pure. `remove.data` is stored while the workload is in the repository, because its `workload.toml` leaves with it. Next:
`eventd.removal.controller`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from eventd.desired.model import RemoveData


class Stage(StrEnum):
    """The stage of a deletion; each is stored before it begins."""

    NONE = ""
    BEGUN = "begun"
    """Lingering, manager, processes and the home are being removed. This cannot be undone."""
    ACCOUNT = "account"
    """The home is gone; the account is being deleted."""
    RECORDS = "records"
    """The account is gone; only eventd's records are left."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One workload."""

    data: RemoveData = RemoveData.KEEP
    said_by: str = ""
    """The commit that said so, or `operator`."""
    since: float = 0.0
    """When it left the repository, in seconds since the epoch; 0: it has not."""
    commit: str = ""
    """The first commit without it."""
    digest: str = ""
    """Its last `Workload.digest`: the same content under another name may be the same workload."""
    stage: Stage = Stage.NONE
    uid: int = -1
    """The account when its deletion began; also `home` and `made_by`."""
    home: str = ""
    made_by: int = 0


@dataclass(frozen=True, slots=True)
class Rename:
    """A rename that has begun, by the new name. Stores what usermod(8) does not carry over."""

    old: str
    uid: int
    subuid: tuple[int, int] | None
    """First id and count."""
    subgid: tuple[int, int] | None
