"""Who may do what: one table of requests and roles, and nothing else decides it.

Pure. `api.access` finds out which roles a caller has (SO_PEERCRED, unix(7)); `api.server` asks this table before a
route is run, and gives the route the `View` that it has to keep to. A request that is not in the table cannot be
served: each route names its own. The table in docs/reference/rights.md is made from it; the tests of rights have a
matrix of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from eventd.core.facts import FactKey, Facts
from eventd.core.records import Records
from eventd.platform.model_facts import Account, PlatformFact


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


class Request(StrEnum):
    """What can be asked of the daemon over its socket."""

    STATUS = "status"
    WHY = "why"
    PLAN = "plan"
    FETCH = "fetch"
    GATES = "gates"
    EVENTS = "events"
    RUNS = "runs"
    BOOT = "boot"
    DOCTOR = "doctor"
    METRICS = "metrics"
    SYNC = "sync"
    RESTART = "restart"
    ROLLBACK = "rollback"
    SUSPEND = "suspend"
    UPDATE = "update"
    IMAGES = "images"
    AUDIT = "audit"
    APPROVALS = "approvals"
    APPROVE = "approve"
    REMOVE = "remove"
    ADOPT = "adopt"
    STATE = "state"
    STATE_CHANGE = "state-change"
    STORAGE = "storage"
    STORAGE_CHANGE = "storage-change"


@dataclass(frozen=True, slots=True)
class Row:
    """One request of the table. Root may do all of them, nobody else none."""

    operator: Scope
    workload: Scope
    text: str
    """What it is, for the documentation."""


ALL, OWN, NO = Scope.ALL, Scope.OWN, Scope.NO

TABLE: Mapping[Request, Row] = {
    Request.STATUS: Row(ALL, OWN, "Where workloads stand: `eventctl status`"),
    Request.WHY: Row(ALL, OWN, "One workload's state in a sentence, and the facts behind it: `eventctl why`"),
    Request.PLAN: Row(ALL, OWN, "What a run would do now, with diffs: `eventctl plan`"),
    Request.FETCH: Row(NO, NO, "Fetch first, and plan what came: `eventctl plan --fetch`"),
    Request.GATES: Row(ALL, OWN, "What is waited for: `eventctl gates`"),
    Request.EVENTS: Row(ALL, OWN, "What happened on the host: `eventctl events`"),
    Request.RUNS: Row(ALL, OWN, "What runs did: `eventctl runs`"),
    Request.BOOT: Row(ALL, NO, "The record of the boot: `eventctl boot`"),
    Request.DOCTOR: Row(ALL, NO, "What the daemon finds wrong with this host: `eventctl doctor`"),
    Request.METRICS: Row(ALL, NO, "Prometheus metrics: `eventctl metrics`"),
    Request.SYNC: Row(NO, NO, "Fetch and run: `eventctl sync`"),
    Request.RESTART: Row(NO, OWN, "Restart a workload's units and verify them: `eventctl restart`"),
    Request.ROLLBACK: Row(NO, OWN, "Go back to an earlier commit of a workload: `eventctl rollback`"),
    Request.SUSPEND: Row(NO, NO, "Leave workloads as they are, and take that back: `eventctl suspend`"),
    Request.UPDATE: Row(NO, OWN, "Look for newer images and take them: `eventctl update`"),
    Request.IMAGES: Row(ALL, OWN, "Images that run, and whether registries have newer: `eventctl images`"),
    Request.AUDIT: Row(ALL, OWN, "Where what runs comes from: `eventctl audit`"),
    Request.APPROVALS: Row(ALL, NO, "What waits for a signature: `eventctl approvals`"),
    Request.APPROVE: Row(ALL, NO, "Hand in a signature; what counts is its key: `eventctl approve`"),
    Request.REMOVE: Row(
        NO,
        NO,
        "Say no to a deletion, or want one of what was left behind: `eventctl reject`, `eventctl remove`",
    ),
    Request.ADOPT: Row(NO, NO, "Hand an account over to eventd, or take it back: `eventctl adopt`"),
    Request.STATE: Row(ALL, NO, "What was recovered, and lost with a state file: `eventctl state`"),
    Request.STATE_CHANGE: Row(NO, NO, "Say that a loss is known: `eventctl state --acknowledge`"),
    Request.STORAGE: Row(ALL, OWN, "Volumes and where they are: `eventctl storage`"),
    Request.STORAGE_CHANGE: Row(NO, NO, "Change what is mounted where: `eventctl storage ...`"),
}


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


def scope(request: Request, role: Role) -> Scope:
    """Return the right of one role."""
    row = TABLE[request]
    match role:
        case Role.ROOT:
            return Scope.ALL
        case Role.OPERATOR:
            return row.operator
        case Role.WORKLOAD:
            return row.workload
        case Role.NOBODY:
            return Scope.NO


def view(request: Request, roles: Collection[Role], own: str = "") -> View | None:
    """Return what a caller with these roles may see: the union of their rights; None: it may not ask this at all."""
    scopes = {scope(request, role) for role in roles}
    if Scope.ALL in scopes:
        return View(everything=True, own=own)
    return View(everything=False, own=own) if Scope.OWN in scopes and own else None


def hint(request: Request, group: str) -> str:
    """Return who may ask this, for who may not."""
    row = TABLE[request]
    if row.operator is Scope.ALL:
        return f"members of {group} may read"
    return (
        "only root, and the workload itself, may do this" if row.workload is OWN else "only root may do this"
    )
