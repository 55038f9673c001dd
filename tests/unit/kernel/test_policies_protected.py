"""Scope: what eventd did not make it never touches: accounts by rule and record, files by record, starts by gate."""

from __future__ import annotations

import pytest

from eventd.accounts.model_actions import CreateAccount
from eventd.desired.model import FileRole, InstallFile
from eventd.files.model_actions import PutFile
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.verdicts import ALLOW, Deny
from eventd.managers.model_actions import EnableLinger
from eventd.platform.model_facts import Account, FileKind, FileState, PlatformFact
from eventd.workloads.model_actions import StartUnit
from eventd.workloads.model_case import Case
from eventd.workloads.model_facts import ManagerState
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import FileRecord, Ownership, Records, WorkloadRecord
from eventd_policies import files_ownership as ownership
from eventd_policies.accounts_protected import Rules, protected
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container


def seen(account: Account | None, files: dict[str, FileState] | None = None) -> Observed:
    return Observed(account, False, ManagerState.DOWN, None, files or {}, {}, frozenset())


def account(uid: int) -> Account:
    return Account("web", uid, uid, "/home/web")


def recorded(uid: int) -> Records:
    return Records(workloads={"web": WorkloadRecord("web", uid, Ownership.CREATED, 1)})


@pytest.mark.parametrize(
    ("name", "rules"), [("root", Rules()), ("eventd", Rules()), ("me", Rules(frozenset({"me"})))]
)
def test_protected_names_are_refused(name: str, rules: Rules) -> None:
    """Whatever the repository says, also where there is no account of that name yet."""
    verdict = protected(rules)(Case(CreateAccount(name), None, seen(None), Records(), Facts()))
    assert isinstance(verdict, Deny)
    assert verdict.reason == "protected"


@pytest.mark.parametrize("uid", [0, 1, 999, 60001, 65534])
def test_uids_outside_of_the_login_range_are_refused(uid: int) -> None:
    """Even with a record of ours: records can be wrong, root stays root."""
    verdict = protected(Rules())(Case(EnableLinger("web"), None, seen(account(uid)), recorded(uid), Facts()))
    assert isinstance(verdict, Deny)
    assert verdict.reason == "protected"


@pytest.mark.parametrize(
    ("records", "reason"),
    [(Records(), "account-exists"), (recorded(1002), "account-changed")],
    ids=["unknown", "replaced"],
)
def test_an_account_without_our_record_is_not_adopted(records: Records, reason: str) -> None:
    """One that was there before, or that replaced ours under its name."""
    verdict = protected(Rules())(Case(EnableLinger("web"), None, seen(account(1001)), records, Facts()))
    assert isinstance(verdict, Deny)
    assert verdict.reason == reason


def test_our_own_account_is_allowed() -> None:
    """By its record, and its uid."""
    case = Case(EnableLinger("web"), None, seen(account(1001)), recorded(1001), Facts())
    assert protected(Rules())(case) == ALLOW


FILE = InstallFile(FileRole.QUADLET, "web.container", b"[Container]\n", "workloads/web/web.container")
PATH = Layout().path(FILE, 1001)


@pytest.mark.parametrize(
    ("state", "mine", "allowed"),
    [
        (None, False, True),
        (FileState(FileKind.REGULAR, "other", 0o644, 0, 0), False, False),
        (FileState(FileKind.REGULAR, "other", 0o644, 0, 0), True, True),
        (FileState(FileKind.REGULAR, FILE.digest, 0o600, 0, 0), False, True),
        (FileState(FileKind.SYMLINK, "", 0o777, 0, 0), False, False),
        (FileState(FileKind.DIRECTORY, "", 0o755, 0, 0), False, False),
    ],
    ids=["free", "foreign", "ours", "the same", "symlink", "folder"],
)
def test_a_file_without_a_record_is_not_overwritten(
    state: FileState | None, mine: bool, allowed: bool
) -> None:
    """Unless it is what would be written anyway."""
    records = Records(files={"web": {PATH: FileRecord("x", 1)}} if mine else {})
    there = {} if state is None else {PATH: state}
    case = Case(PutFile("web", FILE, ""), None, seen(account(1001), there), records, Facts())
    assert (ownership.Ownership(Layout())(case) == ALLOW) is allowed


@virtual()
async def test_a_persons_account_of_a_workloads_name_is_left_as_it_is() -> None:
    """No file, no lingering, no manager, no record: only a failure that says why."""
    story = Story()
    before = story.world.model.accounts.add("web", shell="/bin/bash")
    await story.begin(container("web"), 300)
    assert story.status("web").reason == "account-exists"
    assert story.world.model.accounts.get("web") == before
    assert not story.world.model.logind.is_lingering("web")
    assert "web" not in story.world.model.managers
    assert story.world.disk.records == Records()
    assert FactKey(PlatformFact.ACCOUNT, "web") in story.dispatcher.facts
    assert StartUnit.verb not in " ".join(story.host.life.calls)
