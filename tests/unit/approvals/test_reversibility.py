"""Every action has a class, by provenance and data; and what is destructive is held for exactly what would be gone."""

from __future__ import annotations

from typing import Any

import pytest

from eventd import domains
from eventd.accounts import model_actions as accounts
from eventd.adoption import model_actions as adoption
from eventd.approvals.model_facts import ApprovalFact, ApprovalState
from eventd.containers import model_actions as containers
from eventd.containers.model_podman_damage import Damage, Part
from eventd.desired.model import FileRole, InstallFile
from eventd.files import model_actions as files
from eventd.health import model_actions as health
from eventd.kernel.model.action import Action
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.reversibility import Provenance, Reversibility, destruction
from eventd.kernel.model.verdicts import ALLOW, Allow, Hold
from eventd.managers import model_actions as managers
from eventd.removal import model_actions as removal
from eventd.storage import model_actions as storage
from eventd.updates import model_actions as updates
from eventd.workloads import model_actions as actions
from eventd.workloads.controller_judging import UNSEEN
from eventd.workloads.model_case import Case
from eventd.workloads.model_records import FileRecord, Records
from eventd_policies.approvals_reversibility import reversibility

ACTIONS = domains.load().actions
BENIGN, COMPENSATED, DESTRUCTIVE = Reversibility
FILE = InstallFile(FileRole.QUADLET, "web.container", b"", "workloads/web/web.container")
OURS = Records(files={"web": {"/ours": FileRecord("0" * 64, 3)}})
DELETE = removal.DeleteAccount("deletion:web", "web", 1001, "/home/web", 3, "it left")
ANY: Any = None
RESET = containers.ResetStore(
    "store:web",
    "web",
    1001,
    "/home/web",
    Damage(Part.DATABASE, "/home/web/db.sql", "not a database"),
    "damaged",
)
TABLE: list[tuple[Any, Reversibility]] = [
    (RESET, DESTRUCTIVE),
    (accounts.CreateAccount("web"), BENIGN),
    (accounts.CompleteAccount("web"), BENIGN),
    (files.PutFile("web", FILE, ""), COMPENSATED),
    (files.RemoveFile("web", "/ours", ""), COMPENSATED),
    (files.RemoveFile("web", "/theirs", ""), DESTRUCTIVE),
    (managers.EnableLinger("web"), BENIGN),
    (managers.DisableLinger("web", ""), COMPENSATED),
    (managers.StartManager("web"), BENIGN),
    (managers.StopManager("web", ""), COMPENSATED),
    (managers.Reload("web", ""), BENIGN),
    (actions.StopUnit("web", "web.service", "", 1), COMPENSATED),
    (actions.StartUnit("web", "web.service", "", "", 1), BENIGN),
    (actions.RestartUnit("web", "web.service", "", "", 1), BENIGN),
    (health.Verify("web", (), "", 1, 1, ""), BENIGN),
    (removal.Orphan("web", ""), BENIGN),
    (updates.PullImages("web", (), 1, ""), BENIGN),
    (adoption.InspectStore("web"), BENIGN),
    (actions.RecordFiles("web", "web.service", (), ""), BENIGN),
    (updates.TagImages("web", (), ""), COMPENSATED),
    (adoption.AdoptAccount("web", 1001), BENIGN),
    (removal.RenameAccount("rename:new", "old", "new", 1001, ""), BENIGN),
    (DELETE, DESTRUCTIVE),
    (storage.SealMountPoint("volume:media", "/srv"), BENIGN),
    (storage.UnsealMountPoint("volume:media", "/srv"), BENIGN),
    (storage.MountVolume("volume:media", ANY, (), ""), BENIGN),
    (storage.UnmountVolume("volume:media", "/srv", lazy=False, why=""), COMPENSATED),
    (storage.NoteVolume("volume:media", ANY, ""), BENIGN),
    (storage.ReleaseVolume("volume:media", (), (), ""), BENIGN),
    (storage.MigrateVolume("volume:media", "big", ANY, ""), COMPENSATED),
    (storage.ForgetData("volume:media", "uuid 1", 1.0, ""), DESTRUCTIVE),
    (storage.MakeFolder("web", "media", "/srv", allowed=True, why=""), BENIGN),
    (storage.StopForVolume("web", (), "", 1), COMPENSATED),
]


def held(action: Action, *facts: ApprovalState, run: int = 9) -> Any:
    """Return what the policy says, with the fact of the approval of this action if it is given."""
    known = Facts()
    for fact in facts:
        draft = ACTIONS.classify(action, OURS, run).draft
        assert draft is not None
        known.set(FactKey(ApprovalFact.APPROVAL, draft.key), fact)
    return reversibility(ACTIONS)(Case(action, None, UNSEEN, OURS, known, run=run))


@pytest.mark.parametrize(("action", "kind"), TABLE, ids=lambda value: getattr(value, "verb", ""))
def test_every_action_has_its_class(action: Action, kind: Reversibility) -> None:
    """And only a destructive one has something to sign."""
    judged = ACTIONS.classify(action, OURS, 9)
    assert judged.kind is kind
    assert (judged.draft is not None) == (kind is DESTRUCTIVE)


def test_the_table_has_every_action_that_there_is() -> None:
    """A new action without a row here, or without a class, is noticed."""
    assert {type(action) for action, _ in TABLE} == {row.action for row in ACTIONS}


@pytest.mark.parametrize(
    ("origin", "kind"),
    [
        (Provenance(3, 9, bears_data=True), DESTRUCTIVE),
        (Provenance(9, 9, bears_data=True), COMPENSATED),
        (Provenance(3, 9, bears_data=True, scratch=True), COMPENSATED),
        (Provenance(3, 9, bears_data=False), COMPENSATED),
        (Provenance(None, 9, bears_data=True), DESTRUCTIVE),
        (Provenance(0, 0, bears_data=True), DESTRUCTIVE),
        (Provenance(None, 0, bears_data=True), DESTRUCTIVE),
    ],
)
def test_destruction_is_judged_by_who_made_it_and_by_what_it_bears(
    origin: Provenance, kind: Reversibility
) -> None:
    """The open transaction may undo what it made, anybody may destroy scratch; no run is not a run of its own."""
    assert destruction(origin) is kind


def test_what_the_open_run_made_may_be_undone_without_a_signature() -> None:
    """The same account in the next run may not."""
    assert held(DELETE, run=3) == ALLOW
    assert isinstance(held(DELETE, run=4), Hold)


def test_what_is_to_be_signed_names_the_resource_and_is_asked_for_once() -> None:
    """The hold carries a draft until somebody has been asked, and then the id of the request."""
    first = held(DELETE)
    assert isinstance(first, Hold)
    assert first.draft is not None
    assert first.draft.resources == ("account web uid 1001 home /home/web made by run 3",)
    then = held(DELETE, ApprovalState("abc123"))
    assert isinstance(then, Hold)
    assert (then.draft, then.waits_for) == (None, ("approval:abc123",))
    assert first.wakes_on == then.wakes_on == {FactKey(ApprovalFact.APPROVAL, first.draft.key)}
    assert held(DELETE, ApprovalState("abc123", rejected=True)).reason == "rejected"


def test_what_is_signed_to_delete_an_old_disk_says_since_when_in_words() -> None:
    """A person signs it: a date, and no count of seconds."""
    draft = ACTIONS.classify(storage.ForgetData("volume:media", "uuid 1", 1795247740.4, ""), OURS, 9).draft
    assert draft is not None
    assert draft.resources == ("disk uuid 1 out of service since 2026-11-21T07:55:40Z",)


def test_an_approved_action_names_the_approval_that_it_uses_up() -> None:
    """And an approval of another account is none."""
    allowed = held(DELETE, ApprovalState("abc123", approved=True))
    assert isinstance(allowed, Allow)
    assert allowed.approval
    known = Facts()
    known.set(FactKey(ApprovalFact.APPROVAL, allowed.approval), ApprovalState("abc123", approved=True))
    other = removal.DeleteAccount("deletion:web", "web", 1001, "/home/web", 4, "it left")
    assert isinstance(reversibility(ACTIONS)(Case(other, None, UNSEEN, OURS, known, run=9)), Hold)
