"""The index from facts to workloads: which workload does this subject concern? A dictionary look-up, not a scan."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from eventd.audit.model_facts import AuditFact
from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import Account, PlatformFact
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
class Index:
    """Kept current by watching all facts."""

    facts: Facts
    layout: Layout
    _by_uid: dict[int, str] = field(default_factory=dict)
    _paths: dict[int, dict[str, None]] = field(default_factory=dict)
    _wakes: dict[FactKey, set[str]] = field(default_factory=dict)
    _expected: Mapping[FactKey, Iterable[str]] = field(default_factory=dict)

    def start(self, changed: Callable[[str], None], woken: Callable[[str], None]) -> None:
        """Begin to watch; what is known already is taken in, and concerns nobody.

        `changed` is called with each workload that a changed fact concerns, `woken` with each that asked for it.
        """
        for kind in (PlatformFact.ACCOUNT, PlatformFact.FILE):
            for key, _ in self.facts.items(kind):
                self._concerns(key)

        def take_in(key: FactKey) -> None:
            name = self._concerns(key)
            if name is not None:
                changed(name)
            for expecting in self._expected.get(key, ()):
                if expecting != name:
                    changed(expecting)
            for waiting in tuple(self._wakes.get(key, ())):
                woken(waiting)

        self.facts.watch_all(take_in)

    def paths_of(self, uid: int) -> Sequence[str]:
        """Return the files known to stand in a user's folders."""
        return tuple(self._paths.get(uid, ()))

    def attend(self, concerns: Mapping[FactKey, Iterable[str]]) -> None:
        """Let a change of a fact make the workloads dirty that expect something of it; replaces what was set before."""
        self._expected = concerns

    def wake_on(self, name: str, keys: Iterable[FactKey]) -> None:
        """Let a change of one of `keys` make `name` dirty, besides its own facts; replaces what was set before."""
        for waiting in self._wakes.values():
            waiting.discard(name)
        for key in keys:
            self._wakes.setdefault(key, set()).add(name)
        self._wakes = {key: names for key, names in self._wakes.items() if names}

    def _concerns(self, key: FactKey) -> str | None:
        if key.kind is PlatformFact.UNIT:
            if key.scope:
                return key.scope
            if key.name.startswith("user@") and key.name.endswith(".service"):
                uid = key.name[5:-8]
                return self._by_uid.get(int(uid)) if uid.isdecimal() else None
            return None
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
