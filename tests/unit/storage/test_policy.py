"""Scope: the policy on new folders of volumes."""

from __future__ import annotations

from eventd.kernel.model.facts import Facts
from eventd.kernel.model.verdicts import ALLOW, Deny, Verdict
from eventd.storage.model_actions import MakeFolder
from eventd.workloads.controller_judging import UNSEEN
from eventd.workloads.model_case import Case
from eventd.workloads.model_records import Records
from eventd_policies.storage_placement import placement


def judged(*, allowed: bool) -> Verdict:
    action = MakeFolder("web", "media", "/srv/media", allowed, "it is not there")
    return placement(Case(action, None, UNSEEN, Records(), Facts()))


def test_a_volume_that_takes_no_new_workloads_gets_no_new_folder() -> None:
    """`schedulable = false` refuses a workload that has no folder there yet, and says what to do."""
    verdict = judged(allowed=False)
    assert isinstance(verdict, Deny)
    assert verdict.reason == "not-schedulable"
    assert "/srv/media/web" in verdict.hint


def test_a_schedulable_volume_gets_it() -> None:
    """By default a volume takes whoever names it."""
    assert judged(allowed=True) == ALLOW
