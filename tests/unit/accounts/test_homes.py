"""Scope: a home that is gone or another one: what it bore, what a plan makes of that, and what is told."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eventd.accounts import adapter_homes as adapter
from eventd.accounts import model_homes as homes
from eventd.accounts.model_actions import CompleteAccount
from eventd.desired.model import OnChange, Workload, WorkloadOptions
from eventd.files.adapter_named import Digester, observe
from eventd.files.model_named import HOME
from eventd.health.model_actions import Verify
from eventd.kernel.model.errors import PermanentError
from eventd.platform.model_facts import Account, ActiveState, FileKind
from eventd.workloads.controller_judging import BlockedError, blocked, left
from eventd.workloads.model_actions import RestartUnit, StartUnit
from eventd.workloads.model_facts import NamedState
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Ownership, Records, StartedWith
from eventd.workloads.plan import plan
from eventd.workloads.plan_file_problem import file_problem
from tests.unit.desired.trees import container, in_web
from tests.unit.workloads.test_plan import ACCOUNT, CONTEXT, converged

PLAIN = {"web.container": container("Network=in.network", "Volume=/srv/x:/x"), "in.network": "[Network]\n"}
GONE = NamedState("/home/web", None, noticed=100)


def there(which: str) -> NamedState:
    """Return a home as one of the folders that may be it."""
    return NamedState("/home/web", FileKind.DIRECTORY, f"k:{which}", noticed=100)


def on_home(
    now: NamedState | None, base: str = "k:old", files: dict[str, str] | None = None
) -> tuple[Workload, Observed, Records]:
    """Return a workload that is as wanted, was started on the home `base`, and has the home `now`."""
    workload = in_web(files or PLAIN).workloads["web"]
    seen, records = converged(workload)
    units = {name: replace(state, began=50) for name, state in seen.units.items()}
    seen = replace(seen, units=units, named={} if now is None else {HOME: now})
    records.started = {"web": {unit.name: StartedWith({HOME: base}) for unit in workload.units if unit.named}}
    return workload, seen, records


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (PLAIN, ""),
        ({"web.container": container("Volume=data.volume:/d"), "data.volume": "[Volume]\n"}, "volume systemd-data"),
        ({"web.container": container("Volume=plain:/d:Z")}, "volume plain"),
        ({"web.container": container("Volume=%h/data:/d")}, "web.container"),
        ({"web.container": container("Volume=/home/web/data:/d")}, "web.container"),
        ({"web.container": container("Mount=type=volume,source=x,target=/d")}, "web.container"),
        ({"web.container": container("Secret=token,type=env")}, "secret token"),
        ({"web.container": container("PodmanArgs=--volume x:/d")}, "web.container"),
        ({"web.container": container("Volume=/cache", "Mount=type=bind,source=/srv/x,target=/x")}, ""),
        ({"web.container": container(), "tidy.service": "[Service]\nExecStart=/bin/true\n"}, "tidy.service"),
        ({"web.kube": "[Kube]\nYaml=a.yaml\n", "a.yaml": "kind: Pod\n"}, "web.kube"),
        ({"compose.yaml": "services:\n  a:\n    image: x\n"}, "stack"),
    ],
)  # fmt: skip
def test_what_a_home_bore_is_read_from_the_files(files: dict[str, str], what: str) -> None:
    """Volumes, secrets, and whatever may have been written there; images, containers and networks are made again."""
    workload, _, records = on_home(GONE, files=files)
    said = homes.lost(workload, ACCOUNT, records)
    assert what in said
    assert bool(said) == bool(what)


def test_an_account_that_was_handed_over_bore_whatever_there_was() -> None:
    """Nobody knows what that was; neither does anybody where the record is of another account."""
    workload, _, records = on_home(GONE)
    for change in ({"ownership": Ownership.ADOPTED}, {"uid": 7}):
        other = Records({"web": replace(records.workloads["web"], **change)})
        assert homes.lost(workload, ACCOUNT, other)
    assert homes.lost(workload, ACCOUNT, Records())


def test_a_home_that_bore_nothing_is_made_again() -> None:
    """One action; one that is there, and one that was not looked at, are left alone."""
    workload, seen, records = on_home(GONE)
    complete, verify = plan(workload, seen, records, CONTEXT)
    assert isinstance(complete, CompleteAccount)
    assert "/home/web is gone" in complete.why
    assert isinstance(verify, Verify)
    assert blocked(workload, seen, records, CONTEXT) is None
    assert plan(*on_home(there("old")), CONTEXT) == ()
    assert plan(*on_home(None), CONTEXT) == ()
    closed = NamedState("/home/web", None, problem="Permission denied")
    assert plan(*on_home(closed), CONTEXT) == ()


def test_what_runs_is_restarted_on_another_home() -> None:
    """Whatever `on_change` says: what it writes to the old one is lost. What a home of ours has is added before."""
    workload, seen, records = on_home(there("new"))
    report = replace(workload, options=replace(WorkloadOptions(), on_change=OnChange.REPORT))
    for each in (workload, report):
        actions = plan(each, seen, records, CONTEXT)
        assert isinstance(actions[0], CompleteAccount)
        restarted = {action.unit for action in actions if isinstance(action, RestartUnit)}
        assert restarted == {"web.service", "in-network.service"}
    adopted = Records({"web": replace(records.workloads["web"], ownership=Ownership.ADOPTED)}, records.units)
    adopted.files, adopted.started = records.files, records.started
    actions = plan(workload, seen, adopted, CONTEXT)
    assert not any(isinstance(action, CompleteAccount) for action in actions), "that is its owner's"


def test_what_failed_without_its_home_is_started_when_that_is_back() -> None:
    """Also if systemd had given it up."""
    workload, seen, records = on_home(there("new"), "-")
    failed = replace(seen.units["web.service"], active=ActiveState.FAILED, restarts=5, since=60)
    seen = replace(seen, units={**seen.units, "web.service": failed})
    assert "web.service" in [
        a.unit for a in plan(workload, seen, records, CONTEXT) if isinstance(a, StartUnit)
    ]


def test_a_home_that_bore_data_blocks_its_workload_and_names_the_way_out() -> None:
    """Nothing is made in its place, started or stopped; the sentence says what is lost, the hint both ways on."""
    files = {"web.container": container("Volume=data.volume:/d"), "data.volume": "[Volume]\n"}
    workload, seen, records = on_home(GONE, files=files)
    assert plan(workload, seen, records, CONTEXT) == ()
    stop = blocked(workload, seen, records, CONTEXT)
    assert isinstance(stop, BlockedError)
    assert (stop.reason, "systemd-data" in stop.message) == ("home-missing", True)
    assert "install -d -m 0700 -o web -g web /home/web && eventctl sync" in stop.hint
    down = replace(seen, units={})
    assert left(plan(workload, down, records, CONTEXT), frozenset(), stop) == ()
    trouble = file_problem(workload, seen, records)
    assert trouble is not None
    assert trouble.reason == "home-missing"


def test_a_home_is_known_by_which_folder_it_is(tmp_path: Path) -> None:
    """What is written into it changes nothing; another folder in its place does."""
    home = tmp_path / "web"
    account = Account("web", os.geteuid(), os.getegid(), str(home))

    def digest() -> str:
        return observe(str(home), account, Digester(b"k" * 32)).state.digest

    home.mkdir()
    first = digest()
    (home / "file").write_text("x")
    assert digest() == first != ""
    home.rename(tmp_path / "old")
    assert digest() == ""
    home.mkdir()
    assert digest() not in ("", first)


def test_where_no_home_can_be_made_the_way_out_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only place takes ReadWritePaths=; one that is not there, a mkdir."""
    (tmp_path / "default").mkdir()
    place = tmp_path / "homes"
    (tmp_path / "default/useradd").write_text(f"HOME={place}\n")

    def refusal(act: Callable[[], None]) -> PermanentError:
        with pytest.raises(PermanentError) as caught:
            act()
        return caught.value

    found = refusal(lambda: adapter.check_room("web", tmp_path))
    assert (found.reason, f"mkdir {place}" in found.hint) == ("home-missing", True)
    place.mkdir()
    adapter.check_room("web", tmp_path)
    read_only = os.statvfs_result((*os.statvfs(place)[:8], os.ST_RDONLY, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: read_only)
    found = refusal(lambda: adapter.check_room("web", tmp_path))
    assert found.reason == "homes-read-only"
    assert f"ReadWritePaths={place}" in found.hint
    assert os.strerror(errno.EROFS) in found.message
