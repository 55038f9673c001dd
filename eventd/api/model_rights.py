"""Who may do what: the rights that routes need, by role, and nothing else decides it.

Pure. `api.access` finds out which roles a caller has (SO_PEERCRED, unix(7)); `api.server` asks this table before a
route is run, and gives the route the `View` that it has to keep to. A request that is not in the table cannot be
served: each route names its own. The table in docs/reference/rights.md is made from it; the tests of rights have a
matrix of their own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import Account, PlatformFact
from eventd.workloads.model_records import Records


class Role(StrEnum):
    """What a caller is to the daemon. One may be several: an operator with a workload's uid has both their rights."""

    ROOT = "root"
    """uid 0, or whoever runs the daemon."""
    OPERATOR = "operator"
    """A member of the group of `[api] group`."""
    WORKLOAD = "workload"
    """The uid of an account that a record says is a workload's."""
    NOBODY = "nobody"
    """Every other account."""


class Scope(StrEnum):
    """How far a right goes."""

    ALL = "all"
    OWN = "own"
    """The caller's own workload, and nothing of others: not even that they exist."""
    NO = "no"


@dataclass(frozen=True, slots=True)
class Right:
    """What can be asked of the daemon over its socket, and by whom. Root may do all of it, nobody else none.

    Each stands beside the routes that need it.
    """

    name: str
    operator: Scope
    workload: Scope
    text: str
    """What it is, for the documentation."""


ALL, OWN, NO = Scope.ALL, Scope.OWN, Scope.NO


@dataclass(frozen=True, slots=True)
class View:
    """What one caller may see and touch with one request."""

    everything: bool
    own: str = ""
    """The workload that the caller is, empty: none."""

    def sees(self, workload: str) -> bool:
        """Tell whether a workload is within it."""
        return self.everything or (workload == self.own and bool(workload))


EVERYTHING = View(everything=True)


def workload_of(uid: int, records: Records, facts: Facts) -> str:
    """Return the workload that a uid is, also one that left the repository; empty: none.

    A record alone does not do: the account may have been deleted, and its number be another's by now.
    """
    for record in records.workloads.values():
        if record.uid == uid:
            account = facts.get(FactKey(PlatformFact.ACCOUNT, record.name))
            if isinstance(account, Account) and account.uid == uid and account.name == record.name:
                return record.name
    return ""


def scope(right: Right, role: Role) -> Scope:
    """Return the right of one role."""
    match role:
        case Role.ROOT:
            return Scope.ALL
        case Role.OPERATOR:
            return right.operator
        case Role.WORKLOAD:
            return right.workload
        case Role.NOBODY:
            return Scope.NO


def view(right: Right, roles: Collection[Role], own: str = "") -> View | None:
    """Return what a caller with these roles may see: the union of their rights; None: it may not ask this at all."""
    scopes = {scope(right, role) for role in roles}
    if Scope.ALL in scopes:
        return View(everything=True, own=own)
    return View(everything=False, own=own) if Scope.OWN in scopes and own else None


def hint(right: Right, group: str) -> str:
    """Return who may ask this, for who may not."""
    if right.operator is Scope.ALL:
        return f"members of {group} may read"
    return (
        "only root, and the workload itself, may do this"
        if right.workload is OWN
        else "only root may do this"
    )
