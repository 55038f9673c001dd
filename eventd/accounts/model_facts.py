"""Facts about accounts that were deleted."""

from __future__ import annotations

from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import FactKind
from eventd.platform.systemd.model_user_manager import manager_unit


class AccountFact(FactKind):
    """Facts about accounts. The comments give scope, name and value."""

    DESERTED = "deserted"  # name: a uid; value: the name of the account that had it
    """A manager runs under the uid of an account that does not exist any more."""


def deserted(name: str, uid: int) -> EventdError:
    """Return the problem of a manager that runs under the uid of a deleted account."""
    unit = manager_unit(uid)
    return EventdError(
        f"the account {name} with the uid {uid} was deleted, and {unit} still runs with its processes",
        reason="account-deserted",
        hint=f"systemctl status {unit} shows what runs; systemctl stop {unit} ends it",
    )
