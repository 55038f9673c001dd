"""Maps facts to the workloads they belong to: a dictionary look-up, not a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from eventd.audit.model_facts import AuditFact
from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.systemd.model_user_manager import manager_uid
from eventd.workloads.model_facts import WorkloadFact
from eventd.workloads.model_layout import Layout

_PER_USER = frozenset(
    {
        PlatformFact.ACCOUNT,
        PlatformFact.LINGER,
        WorkloadFact.MANAGER,
        PlatformFact.SESSIONS,
        AuditFact.FOREIGN,
    }
)


@dataclass(slots=True)
class Owners:
    """The workload of a unit, of a file, of an account. Learns uids and files from the facts."""

    facts: Facts
    layout: Layout
    _by_uid: dict[int, str] = field(default_factory=dict)
    _paths: dict[int, dict[str, None]] = field(default_factory=dict)

    def start(self) -> None:
        """Learn from the facts that are known already."""
        for kind in (PlatformFact.ACCOUNT, PlatformFact.FILE):
            for key, _ in self.facts.items(kind):
                self.workload_of(key)

    def paths_of(self, uid: int) -> Sequence[str]:
        """Return the files known to be in a user's folders."""
        return tuple(self._paths.get(uid, ()))

    def workload_of(self, key: FactKey) -> str | None:
        """Return the workload that a fact belongs to."""
        if key.kind is PlatformFact.UNIT:
            if key.scope:
                return key.scope
            uid = manager_uid(key.name)
            return self._by_uid.get(uid) if uid is not None else None
        if key.kind is PlatformFact.FILE:
            uid_of = self.layout.uid_of(key.name)
            if uid_of is None:
                return None
            if key in self.facts:
                self._paths.setdefault(uid_of, {})[key.name] = None
            else:
                self._paths.get(uid_of, {}).pop(key.name, None)
            return self._by_uid.get(uid_of)
        if key.kind is WorkloadFact.NAMED:
            return key.scope or None
        if key.kind in _PER_USER:
            if key.kind is PlatformFact.ACCOUNT:
                account = self.facts.get(key)
                if isinstance(account, Account):
                    self._by_uid[account.uid] = key.name
            return key.name
        return None
