"""Why a user's manager cannot be used: each cause by its evidence, and none where nothing says so."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest

from eventd.kernel.model.errors import DeadlineError, EventdError, PermanentError, TemporaryError
from eventd.kernel.model.facts import FactKey
from eventd.managers import adapter_evidence as manager_evidence
from eventd.managers.model_trouble import Cause, Evidence, explain
from eventd.platform.model_facts import Account, ActiveState, LoadState, PlatformFact, UnitState
from eventd.workloads.model_facts import WorkloadFact

ACCOUNT = Account("web", 1001, 1001, "/home/web")
UP = UnitState("user@1001.service", LoadState.LOADED, ActiveState.ACTIVE, "running")
GOOD = Evidence()
LOST = TemporaryError("it was refused", reason="user-manager-unavailable")
SILENT = DeadlineError("Reload: no answer within 30 s", reason="no-answer")
LATE = DeadlineError("start user@1001.service: the job had not ended after 120 s")


@pytest.mark.parametrize(
    ("state", "seen", "error", "cause"),
    [
        (UP, GOOD, None, None),
        (UP, GOOD, TemporaryError("web.service failed", reason="start-failed"), None),
        (UP, GOOD, LATE, None),
        (None, GOOD, None, None),
        (replace(UP, load=LoadState.MASKED, active=ActiveState.INACTIVE), GOOD, None, Cause.MASKED),
        (None, GOOD, PermanentError("masked", reason="unit-masked"), Cause.MASKED),
        (UP, replace(GOOD, frozen=True, stopped=True), None, Cause.FROZEN),
        (UP, replace(GOOD, stopped=True), None, Cause.STOPPED),
        (UP, replace(GOOD, socket=False), None, Cause.NO_SOCKET),
        (UP, replace(GOOD, runtime=False, socket=False), None, Cause.NO_RUNTIME),
        (UP, replace(GOOD, full=True), LOST, Cause.FULL),
        (UP, GOOD, LOST, Cause.REFUSED),
        (UP, GOOD, SILENT, Cause.SILENT),
        (replace(UP, active=ActiveState.ACTIVATING), GOOD, LATE, Cause.SLOW),
        (replace(UP, active=ActiveState.FAILED, result="exit-code"), GOOD, LOST, Cause.FAILED),
        (replace(UP, active=ActiveState.FAILED), replace(GOOD, runtime=False), LOST, Cause.NO_RUNTIME),
    ],
)
def test_a_cause_by_its_evidence(
    state: UnitState | None, seen: Evidence, error: EventdError | None, cause: Cause | None
) -> None:
    """Each has a remedy, and names the facts whose change ends it."""
    found = explain(ACCOUNT, state, seen, error)
    if cause is None:
        assert found is None
        return
    assert found is not None
    assert (found.cause, found.reason) == (cause, "user-manager-unavailable")
    assert f"({cause})" in found.message
    assert found.hint
    assert FactKey(PlatformFact.UNIT, "user@1001.service") in found.wakes_on
    assert FactKey(WorkloadFact.MANAGER, "web") in found.wakes_on


def test_the_evidence_is_read_without_following_anything(tmp_path: Path) -> None:
    """A link in the place of the bus is no bus; a stopped process and a frozen group are seen."""
    import os

    uid = os.getuid()
    home = tmp_path / "run" / str(uid)
    group = tmp_path / "cgroup" / "user.slice" / f"user-{uid}.slice"
    scope = group / f"user@{uid}.service" / "init.scope"
    for folder in (home, scope, tmp_path / "proc" / "77"):
        folder.mkdir(parents=True)

    def look() -> Evidence:
        places = [str(tmp_path / name) for name in ("run", "proc", "cgroup")]
        return manager_evidence.collect(uid, *places)

    assert look() == Evidence(socket=False)
    (home / "bus").symlink_to("/dev/null")
    assert not look().socket
    (home / "bus").unlink()
    with socket.socket(socket.AF_UNIX) as bus:
        bus.bind(str(home / "bus"))
        assert look() == Evidence()
    (scope / "cgroup.procs").write_text("77\n78\n")
    (tmp_path / "proc" / "77" / "stat").write_text("77 (a) b) T 1 77")
    assert look().stopped
    (tmp_path / "proc" / "77" / "stat").write_text("77 (T) S 1 77")
    assert not look().stopped
    (group / "cgroup.events").write_text("populated 1\nfrozen 1\n")
    assert look().frozen
