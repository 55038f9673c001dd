"""Where workloads may be put: a volume that takes no new ones keeps those that have a folder on it already."""

from __future__ import annotations

from eventd.kernel.model.verdicts import ALLOW, Deny, Verdict
from eventd.storage.model_actions import MakeFolder
from eventd.workloads.model_case import Case


def placement(case: Case) -> Verdict:
    """Deny a new folder on a volume that is not schedulable."""
    action = case.action
    if not isinstance(action, MakeFolder) or action.allowed:
        return ALLOW
    return Deny(
        "not-schedulable",
        f"the volume {action.volume} takes no new workloads (schedulable = false in storage.toml)",
        f"use another volume, or make {action.target} by hand, owned by {action.workload}, if it is to be there",
    )
