"""Actions on podman's stores."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.containers.model_podman_damage import Damage


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
