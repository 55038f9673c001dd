"""A transaction on the host: one subject's part of one run, as the handlers see it.

Carries the ports and what changes during the turn (the uid of a new account, files that change under a running
manager). Handlers get nothing else of the runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from eventd.desired.model import HostPort
from eventd.desired.model_options_place import ANYWHERE, OptionsPlace
from eventd.gates.model import OPEN, WorkloadGates
from eventd.gates.model_predicates import Predicate
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.model.facts import FactKey
from eventd.kernel.transaction import BaseTransaction
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.platform.systemd.model_user_manager import manager_unit
from eventd.port_set import Host
from eventd.state.controller_inventory import Inventory
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_recovery import is_down

CALLED_OFF = "start-called-off"
"""The reason of a start whose job was cancelled: not the unit's fault."""


def _expect_nothing(_predicate: Predicate | None) -> None:
    pass


class UnitFailedError(EventdError):
    """A unit did not start, or did not stay up."""

    reason = "unit-failed"

    def __init__(
        self, message: str, *, unit: str, reason: str, hint: str = "", log: Sequence[str] = ()
    ) -> None:
        super().__init__(message, reason=reason, hint=hint)
        self.unit = unit
        self.log = tuple(log)
        """The unit's log when it failed; empty: use its last journal lines."""


@dataclass(slots=True, kw_only=True)
class Transaction(BaseTransaction):
    """One subject on the host, in one run."""

    host: Host
    inventory: Inventory
    layout: Layout
    owner_uid: int
    gates: WorkloadGates = OPEN
    place: OptionsPlace = ANYWHERE
    """Where the workload's options are written, for hints."""
    ports: Callable[[], Mapping[str, Sequence[HostPort]]] = dict
    """Ports of the host that each workload publishes, to find the owner of one."""
    expecting: Callable[[Predicate | None], None] = _expect_nothing
    """Called with what the verification waits for (None: no longer), so that it is probed if needed."""
    account: Account | None = None
    restore: frozenset[str] = frozenset()
    """On-demand units that have to run at the end: they ran before a change that is rolled back."""
    rewritten: bool = False
    """Files that changed while the manager was up."""
    reloads: int = 0
    invocations: dict[str, str] = field(default_factory=dict)
    """Unit -> invocation at the moment of the last reload."""

    def user(self) -> Account:
        """Return the account; to get here without one is a bug in the plan."""
        if self.account is None:
            raise PermanentError(f"{self.workload} has no account", reason="no-account")
        return self.account

    def manager_is_down(self) -> bool:
        """Return whether the user's manager is known to be down: it reads the current files when it starts."""
        return self.account is not None and is_down(
            as_unit(self.facts.get(FactKey(PlatformFact.UNIT, manager_unit(self.account.uid))))
        )
