"""Placement: a volume that is not schedulable gets no new workloads, and keeps those that have a folder on it."""

from __future__ import annotations

from eventd.kernel.model.verdicts import ALLOW, Deny, Verdict
from eventd.storage.model_actions import MakeFolder
from eventd.workloads.model_case import Case


def placement(case: Case) -> Verdict:
    """Deny new folders on a volume that is not schedulable."""
    action = case.action
    if not isinstance(action, MakeFolder) or action.allowed:
        return ALLOW
    return Deny(
        "not-schedulable",
        f"the volume {action.volume} accepts no new workloads (schedulable = false in storage.toml)",
        f"use another volume, or create {action.target} by hand, owned by {action.workload}",
    )
