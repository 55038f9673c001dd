"""Actions on accounts that others made."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.workloads.model_actions import OnUser


@dataclass(frozen=True, slots=True)
class AdoptAccount(OnUser):
    """Adopt an existing account that root has handed over."""

    uid: int
    why: str = "it was handed over by eventctl adopt"
    verb = "adopt-account"


@dataclass(frozen=True, slots=True)
class InspectStore(OnUser):
    """List the podman volumes of an adopted account, before anything is created beside them."""

    why: str = "it may have the volumes of an earlier deployment"
    verb = "inspect-store"
