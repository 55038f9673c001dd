"""Reversibility: an action that may destroy the only copy of data is held until an operator has signed exactly that.

The APPROVAL fact under the draft's key has the state of its request. The approvals controller checks signature, host
and expiry before it sets that fact, and again when the approval is used.
"""

from __future__ import annotations

from eventd.approvals.model_facts import ApprovalFact, ApprovalState
from eventd.kernel.model.action_table import ActionTable
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.verdicts import ALLOW, Allow, Hold, Verdict
from eventd.workloads.model_case import Case, Policy

REASON = "needs-approval"


def reversibility(actions: ActionTable) -> Policy:
    """Return the policy: it allows actions that the table marks as benign or compensated, and approved ones."""
    return lambda case: _judge(actions, case)


def _judge(actions: ActionTable, case: Case) -> Verdict:
    draft = actions.classify(case.action, case.records, case.run).draft
    if draft is None:
        return ALLOW
    fact = FactKey(ApprovalFact.APPROVAL, draft.key)
    state = case.facts.get(fact)
    does = "; ".join(each.does for each in draft.plan)
    match state:
        case ApprovalState(approved=True):
            return Allow(approval=draft.key)
        case ApprovalState(rejected=True, request=request):
            return Hold(
                "rejected",
                f"an operator rejected it ({request}): {draft.why}",
                wakes_on=frozenset({fact}),
                waits_for=(f"rejected:{request}",),
                hint=f"eventctl reject {request} --undo requests it again",
            )
        case ApprovalState(request=request):
            return Hold(
                REASON,
                f"{draft.why}; this {does}, and that needs a signature",
                wakes_on=frozenset({fact}),
                waits_for=(f"approval:{request}",),
                hint=f"eventctl approvals {request} shows it; eventctl approve {request} --key FILE signs it",
            )
        case _:
            return Hold(
                REASON,
                f"{draft.why}; this {does}, and that needs a signature",
                wakes_on=frozenset({fact}),
                waits_for=("approval",),
                draft=draft,
            )
