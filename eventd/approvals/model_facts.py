"""Facts about requests for a signature: their kinds, and what their values are."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.kernel.model.draft import Draft
from eventd.kernel.model.facts import FactKey, FactKind, Facts


class ApprovalFact(FactKind):
    """Facts about requests for a signature; the comments say what scope, name and value are."""

    APPROVAL = "approval"  # name: `approvals.Draft.key`; value: ApprovalState, absent: nobody has been asked


@dataclass(frozen=True, slots=True)
class ApprovalState:
    """Where the request for a signature stands."""

    request: str
    """Its id."""
    approved: bool = False
    """Signed, not expired, and not yet used for anything that is finished."""
    rejected: bool = False


def is_rejected(draft: Draft, facts: Facts) -> bool:
    """Tell whether an operator said no to it: a controller plans it no longer, until that is taken back."""
    state = facts.get(FactKey(ApprovalFact.APPROVAL, draft.key))
    return isinstance(state, ApprovalState) and state.rejected
