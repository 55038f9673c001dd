"""What is remembered of workloads that left the repository, or whose data is to go when they leave.

Pure. `remove.data` is written down while the workload is in the repository: with the workload, its `workload.toml` is
gone too. Next: `eventd.workloads.controller_removals`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from eventd.desired.model import RemoveData


class Stage(StrEnum):
    """How far a deletion has come: each is written down before what it names is begun."""

    NONE = ""
    BEGUN = "begun"
    """Lingering, manager, processes and the home are being removed. There is no way back from here."""
    ACCOUNT = "account"
    """The home is gone; the account is being deleted."""
    RECORDS = "records"
    """The account is gone; only what eventd remembers is left."""


@dataclass(frozen=True, slots=True)
class Removal:
    """One workload."""

    data: RemoveData = RemoveData.KEEP
    said_by: str = ""
    """The commit that said so, or `operator`."""
    since: float = 0.0
    """When it left the repository, in seconds since the epoch; 0: it has not."""
    commit: str = ""
    """The commit that does not have it any more."""
    digest: str = ""
    """`Workload.digest` of what it was last: the same content under another name may be the same workload."""
    stage: Stage = Stage.NONE
    uid: int = -1
    """The account whose deletion has begun, as it was then; also `home` and `made_by`."""
    home: str = ""
    made_by: int = 0


@dataclass(frozen=True, slots=True)
class Rename:
    """A rename that has begun; by the new name. What usermod(8) does not carry over is remembered here."""

    old: str
    uid: int
    subuid: tuple[int, int] | None
    """First id and count."""
    subgid: tuple[int, int] | None
