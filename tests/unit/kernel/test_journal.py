"""Scope: the journal's table: every action has an ending, and each ending judges what is found as it should."""

from __future__ import annotations

import importlib
import json
from dataclasses import is_dataclass
from pathlib import Path

import pytest

import eventd
from eventd import domains
from eventd.desired.model import FileRole, InstallFile
from eventd.files import model_actions as files
from eventd.kernel.model import journal
from eventd.kernel.model.journal import Ended, OpenStep
from eventd.managers import model_actions as managers
from eventd.platform.model_facts import Account, ActiveState, FileKind, FileState, LoadState, UnitState
from eventd.workloads import model_actions as actions
from eventd.workloads.model_facts import ManagerState
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import FileRecord, Ownership, Records, UnitRecord, WorkloadRecord
from eventd.workloads.model_recovery import (
    ACCOUNT_COMMENT,
    OwnAccount,
    SetFile,
    SetLingering,
    SetUnit,
    World,
    reloads,
)

ACTIONS = domains.load().actions
OURS = Account("web", 1001, 1001, "/home/web", "/usr/sbin/nologin", comment=ACCOUNT_COMMENT)
PATH = "/etc/containers/systemd/users/1001/web.container"
FILE = InstallFile(FileRole.QUADLET, "web.container", b"new", "workloads/web/web.container")
RUN = 7


def step(verb: str, target: str = "web", **known: str) -> OpenStep:
    return OpenStep(RUN, "web", verb, target, 1, json.dumps(known))


def file(digest: str, kind: FileKind = FileKind.REGULAR) -> FileState:
    return FileState(kind, digest, 0o644, 0, 0)


def unit(
    invocation: str, active: ActiveState = ActiveState.ACTIVE, *, needs_reload: bool = False
) -> UnitState:
    return UnitState(
        "web.service", LoadState.LOADED, active, invocation=invocation, needs_reload=needs_reload
    )


def records(*, lingering: bool = False, run: int = 1) -> Records:
    return Records(
        workloads={"web": WorkloadRecord("web", 1001, Ownership.CREATED, run, lingering=lingering)}
    )


def test_every_action_says_how_it_ends() -> None:
    """A step that nobody has thought about is one that a crash leaves half done."""
    known, root = {row.action for row in ACTIONS}, Path(eventd.__file__).parent
    names = {
        ".".join(("eventd", *path.relative_to(root).with_suffix("").parts))
        for path in root.rglob("model*.py")
    }
    found = [
        each
        for module in map(importlib.import_module, sorted(names))
        for each in vars(module).values()
        if is_dataclass(each)
        and each.__module__ == module.__name__
        and isinstance(getattr(each, "verb", None), str)
    ]
    assert len(found) > 25
    for each in found:
        assert known & set(each.__mro__), (
            f"{each.__name__} ({each.verb}) has no row in a domain's table of actions. Say how a step of it"
            " that a crash cut off is finished and undone: if the next plan sees from the world (or from a"
            " record written before the act) how far it got, that is `Ending(PLAN, ...)`; if the world cannot"
            " tell (whose doing was it? with which content?), let `detail` write what is needed into the"
            " intent, and settle it."
        )


def test_a_verb_of_another_version_is_left_to_the_plan() -> None:
    """After a downgrade."""
    assert ACTIONS.settle(step("teleport"), World(), Records()).ended is Ended.REPLANNED


@pytest.mark.parametrize("text", ["", "not json", "[1]", "null"])
def test_a_detail_that_is_none_is_an_empty_one(text: str) -> None:
    """Version 1 wrote none."""
    assert journal.known(text) == {}


def test_an_account_that_was_made_becomes_ours() -> None:
    """The mark and the shell are there, and no record."""
    found = ACTIONS.settle(step("create-account"), World(account=OURS), Records())
    assert (found.ended, found.changes) == (Ended.RESUMED, (OwnAccount(OURS),))


@pytest.mark.parametrize(
    "account",
    [
        Account("web", 1001, 1001, "/home/web", "/bin/bash", comment=ACCOUNT_COMMENT),
        Account("web", 1001, 1001, "/home/web", "/usr/sbin/nologin", comment="Webmaster"),
        None,
    ],
)
def test_somebody_elses_account_does_not(account: Account | None) -> None:
    """Nor one that is not there."""
    found = ACTIONS.settle(step("create-account"), World(account=account), Records())
    assert (found.ended, found.changes) == (Ended.NOT_BEGUN, ())


def test_an_account_of_an_earlier_run_is_not_completed_on_account_of_a_stale_step() -> None:
    """It was recorded by another run, or has another uid by now."""
    assert ACTIONS.settle(step("create-account"), World(account=OURS), records(run=1)).changes == ()
    assert ACTIONS.settle(step("create-account"), World(account=OURS), records(run=RUN)).changes != ()


def test_a_file_that_was_not_written_loses_the_record_ahead_of_it() -> None:
    """Whether nothing stands there or what somebody put there meanwhile: it is not eventd's."""
    mine = Records(files={"web": {PATH: FileRecord("new", RUN)}})
    for there in (None, file("theirs"), file("", FileKind.SYMLINK)):
        found = ACTIONS.settle(step("put-file", path=PATH, digest="new"), World(file=there), mine)
        assert (found.ended, found.changes) == (Ended.UNDONE, (SetFile(PATH, None),))


def test_a_file_that_was_not_replaced_has_its_old_record_again() -> None:
    """So that it stays eventd's, with the content that it has."""
    mine = Records(files={"web": {PATH: FileRecord("new", RUN)}})
    cut = step("put-file", path=PATH, digest="new", before="old", before_run="3")
    found = ACTIONS.settle(cut, World(file=file("old")), mine)
    assert found.changes == (SetFile(PATH, FileRecord("old", 3)),)


def test_a_file_that_was_written_keeps_its_record() -> None:
    """Nothing is left but a reload, which the plan knows of."""
    mine = Records(files={"web": {PATH: FileRecord("new", RUN)}})
    found = ACTIONS.settle(step("put-file", path=PATH, digest="new"), World(file=file("new")), mine)
    assert (found.ended, found.changes) == (Ended.RESUMED, ())


def test_a_stale_step_takes_nothing_back() -> None:
    """Its result could not be written, and a later run has written the file again: that record stands."""
    mine = Records(files={"web": {PATH: FileRecord("newer", RUN + 1)}})
    found = ACTIONS.settle(step("put-file", path=PATH, digest="new"), World(file=file("newer")), mine)
    assert (found.ended, found.changes) == (Ended.NOT_BEGUN, ())


def test_a_removed_file_loses_its_record_and_one_that_is_there_does_not() -> None:
    """The act came before the record."""
    mine = Records(files={"web": {PATH: FileRecord("new", 1)}})
    cut = step("remove-file", PATH, path=PATH)
    assert ACTIONS.settle(cut, World(), mine).changes == (SetFile(PATH, None),)
    assert ACTIONS.settle(cut, World(file=file("new")), mine).changes == ()


def test_lingering_that_was_not_enabled_is_not_eventds_to_disable() -> None:
    """The record came before the act; where eventd had enabled it before, it stays eventd's."""
    cut = step("enable-linger", lingering="no")
    assert ACTIONS.settle(cut, World(), records(lingering=True)).changes == (SetLingering(lingering=False),)
    assert ACTIONS.settle(cut, World(linger=True), records(lingering=True)).changes == ()
    again = step("enable-linger", lingering="yes")
    assert ACTIONS.settle(again, World(), records(lingering=True)).changes == ()


def test_lingering_that_was_disabled_is_recorded_so() -> None:
    """The act came before the record."""
    cut = step("disable-linger", lingering="yes")
    assert ACTIONS.settle(cut, World(), records(lingering=True)).changes == (SetLingering(lingering=False),)
    assert ACTIONS.settle(cut, World(linger=True), records(lingering=True)).changes == ()


@pytest.mark.parametrize("verb", ["start-unit", "restart-unit"])
def test_a_unit_with_a_new_invocation_is_not_started_again(verb: str) -> None:
    """It runs since the intent was written, so it runs the content that was loaded before it."""
    cut = step(verb, "web.service", unit="web.service", digest="new", invocation="a")
    for state in (unit("b"), unit("b", ActiveState.FAILED), unit("b", ActiveState.ACTIVATING)):
        found = ACTIONS.settle(cut, World(unit=state), Records())
        assert (found.ended, found.changes) == (
            Ended.RESUMED,
            (SetUnit("web.service", UnitRecord("new", RUN)),),
        )


@pytest.mark.parametrize("state", [unit("a"), unit(""), unit("b", needs_reload=True), None])
def test_a_unit_that_was_not_started_is_left_to_the_plan(state: UnitState | None) -> None:
    """The same invocation, none, or files that have changed since it was loaded."""
    cut = step("restart-unit", "web.service", unit="web.service", digest="new", invocation="a")
    assert ACTIONS.settle(cut, World(unit=state), Records()).changes == ()


def test_a_unit_whose_files_were_not_reloaded_is_left_to_the_plan() -> None:
    """It may run the old ones, however new its invocation."""
    cut = step("restart-unit", "web.service", unit="web.service", digest="new", invocation="a")
    assert ACTIONS.settle(cut, World(unit=unit("b")), Records(unloaded={"web"})).changes == ()


def test_a_stopped_unit_loses_its_record() -> None:
    """One that still runs does not, and is stopped by the next plan."""
    mine = Records(units={"web": {"web.service": UnitRecord("new", 1)}})
    cut = step("stop-unit", "web.service", unit="web.service")
    stopped = World(unit=unit("a", ActiveState.INACTIVE))
    assert ACTIONS.settle(cut, stopped, mine).changes == (SetUnit("web.service", None),)
    assert ACTIONS.settle(cut, World(unit=unit("a")), mine).changes == ()


def test_an_intent_carries_what_its_ending_needs() -> None:
    """Path and digests of a file, the invocation of a unit before it is restarted."""
    seen = Observed(
        OURS,
        linger=True,
        manager=ManagerState.UP,
        manager_unit=None,
        files={},
        units={"web.service": unit("a")},
        sessions=frozenset(),
    )
    mine = Records(files={"web": {PATH: FileRecord("old", 3)}})
    layout = Layout()
    assert ACTIONS.detail(files.PutFile("web", FILE, "why"), seen, mine, layout) == {
        "path": PATH,
        "digest": FILE.digest,
        "before": "old",
        "before_run": "3",
    }
    restart = actions.RestartUnit("web", "web.service", "new", "why", 90)
    assert ACTIONS.detail(restart, seen, mine, layout)["invocation"] == "a"
    assert ACTIONS.detail(managers.StartManager("web"), seen, mine, layout) == {"down": "yes"}


def test_only_a_manager_that_was_down_has_read_the_files_when_it_is_started() -> None:
    """Else the start may have joined one that had read them before they were written."""
    assert reloads("start-manager", {"down": "yes"})
    assert not reloads("start-manager", {"down": "no"})
    assert reloads("reload", {})
    assert not reloads("put-file", {})
