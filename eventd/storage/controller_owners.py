"""The owners of processes that may use a volume: the accounts of workloads, and their units."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from eventd.desired.model import Workload
from eventd.kernel.model.facts import Facts
from eventd.platform.model_facts import Account, PlatformFact


class FactOwners:
    """The port `storage.model_holders.Owners`, from facts and the desired state."""

    def __init__(self) -> None:
        self._facts = Facts()
        self._units: Mapping[str, frozenset[str]] = {}

    def attach(self, facts: Facts) -> None:
        """Use the ACCOUNT facts of `facts`."""
        self._facts = facts

    def loaded(self, workloads: Mapping[str, Workload]) -> None:
        """Use these desired workloads."""
        self._units = {
            name: frozenset(unit.name for unit in workload.units) for name, workload in workloads.items()
        }

    def account(self, uid: int) -> str:
        """Return the workload whose account has this uid; empty if there is none."""
        for key, state in self._facts.items(PlatformFact.ACCOUNT):
            if isinstance(state, Account) and state.uid == uid and key.name in self._units:
                return key.name
        return ""

    def units(self, account: str) -> Collection[str]:
        """Return the names of its units."""
        return self._units.get(account, frozenset())
