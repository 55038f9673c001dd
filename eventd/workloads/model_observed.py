"""The observed state of one workload: a snapshot of the facts.

Reads memory only. Facts that were never read make a workload `unread`, and an unread workload is not planned: acting
without knowledge would restart the wrong things.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from eventd.adoption.model_facts import AdoptionFact, StoreState
from eventd.audit.model_facts import AuditFact, Foreign
from eventd.desired.model import NamedFile, VolumeUse, Workload
from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import Account, FileState, PlatformFact, UnitState, unit
from eventd.platform.systemd.model_user_manager import manager_unit
from eventd.storage.model_facts import StorageFact
from eventd.workloads.model_facts import ManagerState, NamedState, WorkloadFact


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of a workload's user, files and units."""

    account: Account | None
    linger: bool
    manager: ManagerState
    manager_unit: UnitState | None
    files: Mapping[str, FileState]
    """All files in the user's folders, by absolute path."""
    units: Mapping[str, UnitState]
    """The requested units that the manager knows; empty while it is down."""
    sessions: frozenset[str]
    """Sessions of people logged in as this user."""
    lost: tuple[str, ...] = ()
    """Volumes in use that are not attached."""
    stopped: frozenset[str] = frozenset()
    """Units that were stopped because a volume was detached."""
    folders: Mapping[str, FileState | None] = field(default_factory=dict)
    """Volume -> what is at the path of the workload's folder on it."""
    foreign: Foreign | None = None
    """Foreign files that could be loaded instead of eventd's; None: not read."""
    store: StoreState | None = None
    """The podman volumes of an adopted account; None: not read."""
    named: Mapping[str, NamedState] = field(default_factory=dict)
    """The host's files that it names, by their paths as written; unread ones are missing."""


def observe(
    facts: Facts,
    name: str,
    units: Iterable[str],
    paths: Iterable[str],
    volumes: Iterable[VolumeUse] = (),
    named: Iterable[NamedFile] = (),
) -> Observed:
    """Collect the facts of workload `name`; `paths` are the files known to be in its folders."""
    account = facts.get(FactKey(PlatformFact.ACCOUNT, name))
    manager = facts.get(FactKey(WorkloadFact.MANAGER, name))
    sessions = facts.get(FactKey(PlatformFact.SESSIONS, name))
    foreign = facts.get(FactKey(AuditFact.FOREIGN, name))
    stopped = facts.get(FactKey(StorageFact.STOPPED, name))
    store = facts.get(FactKey(AdoptionFact.STORE, name))
    uses = tuple(volumes)
    mine = account if isinstance(account, Account) else None
    files: dict[str, FileState] = {}
    for path in paths:
        state = facts.get(FactKey(PlatformFact.FILE, path))
        if isinstance(state, FileState):
            files[path] = state
    states: dict[str, UnitState] = {}
    for each in units:
        state = unit(facts.get(FactKey(PlatformFact.UNIT, each, name)))
        if state is not None:
            states[each] = state
    return Observed(
        account=mine,
        linger=facts.get(FactKey(PlatformFact.LINGER, name)) is True,
        manager=manager if isinstance(manager, ManagerState) else ManagerState.DOWN,
        manager_unit=unit(facts.get(FactKey(PlatformFact.UNIT, manager_unit(mine.uid)))) if mine else None,
        files=files,
        units=states,
        sessions=sessions if isinstance(sessions, frozenset) else frozenset(),
        lost=tuple(
            use.volume for use in uses if facts.get(FactKey(StorageFact.VOLUME, use.volume)) is not True
        ),
        stopped=stopped if isinstance(stopped, frozenset) else frozenset(),
        folders={use.volume: _folder(facts, use, name) for use in uses},
        foreign=foreign if isinstance(foreign, Foreign) else None,
        store=store if isinstance(store, StoreState) else None,
        named=_named(facts, name, named),
    )


def named_of(facts: Facts, workload: Workload) -> Mapping[str, NamedState]:
    """Return the facts of the host's files that a workload names."""
    return _named(facts, workload.name, (each for unit in workload.units for each in unit.named))


def _named(facts: Facts, name: str, named: Iterable[NamedFile]) -> Mapping[str, NamedState]:
    found: dict[str, NamedState] = {}
    for each in named:
        state = facts.get(FactKey(WorkloadFact.NAMED, each.path, name))
        if isinstance(state, NamedState):
            found[each.path] = state
    return found


def _folder(facts: Facts, use: VolumeUse, name: str) -> FileState | None:
    state = facts.get(FactKey(PlatformFact.FILE, use.folder(name)))
    return state if isinstance(state, FileState) else None
