"""Events about requests for a signature."""

from __future__ import annotations

from eventd.kernel.model.events import EventKind


class ApprovalEvent(EventKind):
    """Events about requests for a signature."""

    APPROVAL_CHANGED = "approval-changed"
    """The state of a request for a signature has changed; the subject is its id. Attributes `state`, `signer`."""
    APPROVAL_REFUSED = "approval-refused"
    """A signature was refused. Attributes `reason`, `origin`."""
