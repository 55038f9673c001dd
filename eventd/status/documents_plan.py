"""The document of a plan: what a run would do now, how files would change, and which policies object."""

from __future__ import annotations

import difflib
import os
from typing import Literal, NotRequired

from typing_extensions import TypedDict

from eventd.api.model_rights import EVERYTHING, View
from eventd.desired.model import Desired
from eventd.files.model_actions import PutFile
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.verdicts import Allow, Hold
from eventd.queries import Queries
from eventd.workloads.controller_judging import Sight, blocked, draft, left
from eventd.workloads.controller_transaction import UnitFailedError


class PlannedAction(TypedDict):
    """An action that a run would carry out, and how it would change its file."""

    verb: str
    target: str
    reason: str
    diff: str


class PlanVerdict(TypedDict):
    """The verdict of a policy on an action."""

    verdict: Literal["hold", "deny"]
    action: str
    target: NotRequired[str]
    reason: str
    message: str
    hint: NotRequired[str]
    waits_for: list[str]


class PlannedWorkload(TypedDict):
    """What a run would do for a workload."""

    name: str
    actions: list[PlannedAction]
    verdicts: list[PlanVerdict]


class RefusedWorkload(TypedDict):
    """A workload whose files have errors."""

    name: str
    diagnostics: list[Diagnostic]


class Plan(TypedDict):
    """GET /v1/plan."""

    commit: str
    workloads: list[PlannedWorkload]
    refused: list[RefusedWorkload]
    diagnostics: list[Diagnostic]


async def plan(queries: Queries, desired: Desired | None = None, view: View = EVERYTHING) -> Plan:
    """Return GET /v1/plan: what a run would do now (or with another desired state), with the diffs of the files."""
    desired = desired or queries.desired
    rows: list[PlannedWorkload] = []
    gone = [n for n, r in queries.records.workloads.items() if not r.retained]
    if desired is None or desired.partial:
        gone = []  # as in a run: it may be in the part that could not be read
    for name in sorted({*(desired.workloads if desired else ()), *gone}):
        if desired is None or name in desired.refused or not view.sees(name):
            continue
        wanted = queries.workload(name) if desired is queries.desired else desired.workloads.get(name)
        seen = queries.observed(name, wanted)
        records, context = queries.records, queries.context
        stop = blocked(wanted, seen, records, context) if wanted is not None else None
        actions = left(draft(name, wanted, seen, records, context), frozenset(), stop)
        listed: list[PlannedAction] = []
        verdicts = [_stop(stop)] if stop is not None else []
        for action in actions:
            verdict = queries.judge(action, Sight(wanted, seen, queries.gates_of(name)))
            if not isinstance(verdict, Allow):
                verdicts.append(
                    {
                        "verdict": "hold" if isinstance(verdict, Hold) else "deny",
                        "action": action.verb,
                        "reason": verdict.reason,
                        "message": verdict.message,
                        "waits_for": list(verdict.waits_for) if isinstance(verdict, Hold) else [],
                    }
                )
            diff = ""
            if isinstance(action, PutFile):
                uid = seen.account.uid if seen.account else None
                path = queries.context.layout.path(action.file, uid) if uid is not None else ""
                diff = await _diff(path, action)
            listed.append({"verb": action.verb, "target": action.target, "reason": action.why, "diff": diff})
        if listed or verdicts:
            rows.append({"name": name, "actions": listed, "verdicts": verdicts})
    return {
        "commit": desired.commit if desired else "",
        "workloads": rows,
        "refused": [
            {"name": name, "diagnostics": list(found)}
            for name, found in sorted(desired.refused.items() if desired else ())
            if view.everything
        ],
        "diagnostics": list(desired.diagnostics) if desired and view.everything else [],
    }


def _stop(error: UnitFailedError) -> PlanVerdict:
    """Return what blocks every start of a workload, as a verdict."""
    return {
        "verdict": "deny",
        "action": "start-unit",
        "target": error.unit,
        "reason": error.reason,
        "message": error.message,
        "hint": error.hint,
        "waits_for": [],
    }


async def _diff(path: str, action: PutFile) -> str:
    """Return a unified diff of the current and the planned file. The folders belong to root, so reading is safe."""
    before = ""
    if path:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            pass  # missing, or a symlink: the diff is against an empty file
        else:
            with os.fdopen(descriptor, "rb") as file:
                before = file.read(1 << 20).decode("utf-8", "replace")
    if action.file.role.value == "data":
        return ""  # configuration files of a workload may contain private data
    after = action.file.content.decode("utf-8", "replace")
    lines = difflib.unified_diff(
        before.splitlines(keepends=True),
        after.splitlines(keepends=True),
        path or "/dev/null",
        action.file.origin,
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)
