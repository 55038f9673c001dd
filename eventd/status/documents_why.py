"""The document that explains the state of a workload: a sentence, and the facts behind it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from typing_extensions import TypedDict

from eventd.api.model_rights import EVERYTHING, View
from eventd.desired.model import Workload
from eventd.files.model_named import HOME
from eventd.files.model_named import REASONS as FILE_REASONS
from eventd.gates.model_predicate_atoms import Atom, ContainerHealthy, Present, WorkloadIs
from eventd.gates.model_predicates import atoms, missing
from eventd.kernel.controller import is_workload
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.report import VOLUME_AWAY, WorkloadState
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.queries import Queries
from eventd.status.documents_workload import WorkloadStatus, workload
from eventd.storage.model_facts import StorageFact
from eventd.storage.plan import PREFIX
from eventd.workloads.model_facts import ManagerState, WorkloadFact
from eventd.workloads.model_observed import named_of

MOST_CAUSES = 8
"""How many links of a chain of waits are followed."""


class Cause(TypedDict):
    """A subject that a workload waits for, and its state."""

    subject: str
    state: WorkloadState
    reason: str
    message: str
    hint: str


class FactRow(TypedDict):
    """A fact behind the sentence; `holds` is null where unknown."""

    fact: str
    value: str
    wanted: str
    holds: bool | None


class Why(TypedDict):
    """GET /v1/why/{workload}."""

    workload: str
    state: WorkloadState
    sentence: str
    hint: str
    attempts: int
    retry_at: float | None
    because: list[Cause]
    facts: list[FactRow]


def why(queries: Queries, name: str, view: View = EVERYTHING) -> Why:
    """Return GET /v1/why/{workload}: one sentence, the facts behind it, and the causes down to the root."""
    row = workload(queries, name)
    wanted = queries.workload(name)
    facts = _gates(queries, name)
    if is_workload(name):
        facts += _facts(queries, name, wanted)
    because = list(_causes(queries, name, view))
    lacking = [f for f in facts if not f["holds"]]
    match row["state"]:
        case "converged":
            sentence = (
                f"{name} is converged: every unit is up, loaded from eventd's files, at {row['commit'][:12]}"
            )
        case "removed":
            sentence = f"{name} left the repository: its units are stopped, its account and data are kept"
        case "held" if row["reason"] in FILE_REASONS:
            sentence = f"{name}: {row['message']}"
        case "held":
            since = time.strftime("%H:%M:%S", time.localtime(row["since"]))
            rest = [f for f in lacking if f["fact"] not in row["waits_for"] and f["wanted"] != "active"]
            others = "" if rest or because else "; everything else it needs is ready"
            sentence = f"{name} has been waiting since {since}: {_waiting(queries, name, row)}{others}"
        case "rolled-back":
            since = time.strftime("%H:%M:%S", time.localtime(row["since"]))
            until = f" or {', '.join(row['waits_for'])} is met" if row["waits_for"] else ""
            sentence = (
                f"{name} has been rolled back since {since}: {row['message']}. This lasts until its files in the"
                f" repository change{until}"
            )
        case "at-risk":
            sentence = f"{name} is at risk: {row['message']}"
        case "failed" | "refused":
            sentence = f"{name} {row['state']}: {row['message']}"
        case state:
            first = lacking[0] if lacking else None
            detail = f": {first['fact']} is {first['value']}, wanted {first['wanted']}" if first else ""
            sentence = f"{name} is {state}{detail or (': ' + row['message'] if row['message'] else '')}"
    sentence += "".join(f", because {_said(each)}" for each in because)
    stopped = queries.suspension_of(name)
    if stopped is not None and row["reason"] != "suspended":
        sentence += f". {stopped.sentence}; nothing of it is changed"
    return {
        "workload": name,
        "state": row["state"],
        "sentence": sentence,
        "hint": because[-1]["hint"] if because and because[-1]["hint"] else row["hint"],
        "attempts": row["attempts"],
        "retry_at": row["retry_at"],
        "because": because,
        "facts": facts,
    }


def _waiting(queries: Queries, name: str, row: WorkloadStatus) -> str:
    """Return what a held workload waits for now, as in the table of facts; the message of the hold may be outdated."""
    gates = queries.gates_of(name).requires
    if row["reason"] not in ("gate", VOLUME_AWAY) or gates is None:
        return row["message"]
    parts = missing(gates, queries.facts)
    return "; ".join(part.sentence for part in parts) or row["message"]


def _causes(queries: Queries, name: str, view: View) -> Iterator[Cause]:
    """Follow what a workload waits for: the first unmet gate that has a cause, that one's cause, and so on.

    Only as far as the caller may see: about other workloads a workload learns only that it waits for them.
    """
    facts, seen = queries.facts, {name}
    while len(seen) <= MOST_CAUSES:
        gates = queries.gates_of(name).requires
        shut = [atom for atom in (atoms(gates) if gates is not None else ()) if atom.holds(facts) is not True]
        found = [
            (subject, status)
            for subject in map(_subject, shut)
            if subject not in seen and (view.everything or not is_workload(subject))
            for status in [queries.statuses.get(subject)]
            if status is not None and status.reason
        ]
        if not found:
            return
        name, status = found[0]
        seen.add(name)
        yield {
            "subject": name,
            "state": status.state,
            "reason": status.reason,
            "message": status.message,
            "hint": status.hint,
        }


def _subject(atom: Atom) -> str:
    """Return the subject whose runs make this condition true; empty: there is none."""
    match atom:
        case WorkloadIs(name=name):
            return name
        case Present(kind=StorageFact.VOLUME, name=name):
            return PREFIX + name
        case _:
            return ""


def _said(cause: Cause) -> str:
    state = {"held": "waits", "failed": "failed", "refused": "is refused"}.get(
        cause["state"], f"is {cause['state']}"
    )
    return f"{cause['subject']} {state}: {cause['message']}"


def _gates(queries: Queries, name: str) -> list[FactRow]:
    gates, facts = queries.gates_of(name), queries.facts
    rows: list[FactRow] = []
    for what, predicate in (("requires", gates.requires), ("expects", gates.healthy)):
        rows += [
            {"fact": a.text, "value": a.sentence(facts), "wanted": what, "holds": a.holds(facts)}
            for a in (atoms(predicate) if predicate is not None else ())
            if not _is_silent(a, facts)
        ]
    return rows


def _is_silent(atom: Atom, facts: Facts) -> bool:
    """Return whether an atom is about the health check of a container that has none, as far as known."""
    return isinstance(atom, ContainerHealthy) and not atom.checked and atom.key not in facts


def _facts(queries: Queries, name: str, wanted: Workload | None) -> list[FactRow]:
    facts = queries.facts
    account = facts.get(FactKey(PlatformFact.ACCOUNT, name))
    manager = facts.get(FactKey(WorkloadFact.MANAGER, name))
    rows = [
        _fact(f"account {name}", "exists" if isinstance(account, Account) else "missing", "exists"),
        _fact("linger", "yes" if facts.get(FactKey(PlatformFact.LINGER, name)) is True else "no", "yes"),
        _fact("manager", manager.value if isinstance(manager, ManagerState) else "down", "up"),
    ]
    for each in wanted.units if wanted else ():
        state = as_unit(facts.get(FactKey(PlatformFact.UNIT, each.name, name)))
        value = f"{state.active} ({state.sub})" if state else "unknown"
        if each.role.value == "running":
            rows.append({**_fact(each.name, value, "active"), "holds": state is not None and state.up})
        else:
            loaded = state.load.value if state else "unknown"
            rows.append(_fact(each.name, loaded, "loaded"))
    rows += _named(queries, wanted) if wanted else []
    return rows


def _named(queries: Queries, wanted: Workload) -> list[FactRow]:
    rows: dict[str, FactRow] = {}
    for path, state in named_of(queries.facts, wanted).items():
        required = path == HOME or any(
            each.required for unit in wanted.units for each in unit.named if each.path == path
        )
        value = state.problem or (state.kind.value if state.kind is not None else "missing")
        holds = state.kind is not None or not required
        rows[path] = {"fact": f"file {state.path}", "value": value, "wanted": "there", "holds": holds}
    return list(rows.values())


def _fact(name: str, value: str, wanted: str) -> FactRow:
    return {"fact": name, "value": value, "wanted": wanted, "holds": value == wanted}
