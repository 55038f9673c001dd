"""Actions on accounts."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.workloads.model_actions import OnUser


@dataclass(frozen=True, slots=True)
class CreateAccount(OnUser):
    """Create the Linux user with home and subordinate ids."""

    why: str = "the account does not exist"
    verb = "create-account"


@dataclass(frozen=True, slots=True)
class CompleteAccount(OnUser):
    """Add subordinate ids (subuid(5)) to an account of eventd's that lacks them for rootless containers."""

    why: str = "it has no subordinate ids"
    verb = "complete-account"
