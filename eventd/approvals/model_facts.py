"""Facts about requests for a signature: their kinds, and what their values are."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.draft import Draft
from eventd.kernel.model.facts import FactKey, FactKind, Facts


class ApprovalFact(FactKind):
    """Facts about requests for a signature; the comments say what scope, name and value are."""

    APPROVAL = "approval"  # name: `approvals.Draft.key`; value: ApprovalState, absent: not requested


@dataclass(frozen=True, slots=True)
class ApprovalState:
    """The state of a request for a signature."""

    request: str
    """Its id."""
    approved: bool = False
    """Signed, not expired, and not used by a finished action."""
    rejected: bool = False


def is_rejected(draft: Draft, facts: Facts) -> bool:
    """Return whether an operator rejected it. A controller does not plan it until the rejection is withdrawn."""
    state = facts.get(FactKey(ApprovalFact.APPROVAL, draft.key))
    return isinstance(state, ApprovalState) and state.rejected
