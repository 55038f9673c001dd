"""Who may do what: the rights that routes need, by role. Nothing else decides it.

Pure. `api.access` finds the roles of a caller (SO_PEERCRED, unix(7)). `api.server` checks the right before it calls a
route, and passes the route the `View` that it has to respect. Each route names its right, so a request without one
cannot be served. The table in docs/reference/rights.md is made from the rights; their tests have a matrix of their own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import Account, PlatformFact
from eventd.workloads.model_records import Records


class Role(StrEnum):
    """A role of a caller. A caller may have several: an operator with a workload's uid has the rights of both."""

    ROOT = "root"
    """uid 0, or the user who runs the daemon."""
    OPERATOR = "operator"
    """A member of the group of `[api] group`."""
    WORKLOAD = "workload"
    """The uid of an account recorded as a workload's."""
    NOBODY = "nobody"
    """Every other account."""


class Scope(StrEnum):
    """How far a right goes."""

    ALL = "all"
    OWN = "own"
    """The caller's own workload; others are invisible, even their existence."""
    NO = "no"


@dataclass(frozen=True, slots=True)
class Right:
    """A kind of request to the daemon, and who may make it. Root may do everything; an account without a role, nothing.

    Each is defined beside the routes that need it.
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
    """The caller's own workload; empty: none."""

    def sees(self, workload: str) -> bool:
        """Return whether the view includes a workload."""
        return self.everything or (workload == self.own and bool(workload))


EVERYTHING = View(everything=True)


def workload_of(uid: int, records: Records, facts: Facts) -> str:
    """Return the workload of a uid, also one that left the repository; empty: none.

    A record alone is not enough: the account may be deleted, and its uid reused.
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
    """Return what a caller with these roles may see: the union of their rights; None: the right is denied."""
    scopes = {scope(right, role) for role in roles}
    if Scope.ALL in scopes:
        return View(everything=True, own=own)
    return View(everything=False, own=own) if Scope.OWN in scopes and own else None


def hint(right: Right, group: str) -> str:
    """Return who has a right, for callers without it."""
    if right.operator is Scope.ALL:
        return f"members of {group} may read"
    return (
        "only root, and the workload itself, may do this"
        if right.workload is OWN
        else "only root may do this"
    )
