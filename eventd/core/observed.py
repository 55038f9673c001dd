"""The observed state of one workload: a view of the facts, taken at one moment.

Reads memory only. Unknown (never read) facts make a workload `unread`, and an unread workload is not planned:
acting on ignorance is how wrong things get restarted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from eventd.core.facts import Account, FactKey, FactKind, Facts, FileState, ManagerState, UnitState, unit
from eventd.core.layout import manager_unit


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known of a workload's user, files and units."""

    account: Account | None
    linger: bool
    manager: ManagerState
    manager_unit: UnitState | None
    files: Mapping[str, FileState]
    """Everything that stands in the user's two folders, by absolute path."""
    units: Mapping[str, UnitState]
    """Those asked for that the manager has told of; empty while it is not up."""
    sessions: frozenset[str]
    """Sessions of people logged in as this user."""


def observe(facts: Facts, name: str, units: Iterable[str], paths: Iterable[str]) -> Observed:
    """Collect the facts of workload `name`; `paths` are the files known to be in its folders."""
    account = facts.get(FactKey(FactKind.ACCOUNT, name))
    manager = facts.get(FactKey(FactKind.MANAGER, name))
    sessions = facts.get(FactKey(FactKind.SESSIONS, name))
    mine = account if isinstance(account, Account) else None
    files: dict[str, FileState] = {}
    for path in paths:
        state = facts.get(FactKey(FactKind.FILE, path))
        if isinstance(state, FileState):
            files[path] = state
    states: dict[str, UnitState] = {}
    for each in units:
        state = unit(facts.get(FactKey(FactKind.UNIT, each, name)))
        if state is not None:
            states[each] = state
    return Observed(
        account=mine,
        linger=facts.get(FactKey(FactKind.LINGER, name)) is True,
        manager=manager if isinstance(manager, ManagerState) else ManagerState.DOWN,
        manager_unit=unit(facts.get(FactKey(FactKind.UNIT, manager_unit(mine.uid)))) if mine else None,
        files=files,
        units=states,
        sessions=sessions if isinstance(sessions, frozenset) else frozenset(),
    )
