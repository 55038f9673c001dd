"""Provenance: what blocks a workload, what a reload puts right, and what is as it must be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eventd.audit.model import Audit, Code, audit
from eventd.audit.model_facts import Foreign
from eventd.audit.model_places import Names, Rank, drop_in_folders, names_of, user_places
from eventd.desired.model import DesiredUnit, FileRole, InstallFile, UnitRole, Workload
from eventd.platform.model_facts import Account, ActiveState, LoadState, UnitState
from eventd.workloads.controller_judging import BlockedError, blocked
from eventd.workloads.model_context import Context
from eventd.workloads.model_facts import ManagerState
from eventd.workloads.model_layout import Layout
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Records

LAYOUT = Layout()
ACCOUNT = Account("web", 1001, 1001, "/home/web")
HOME = "/home/web/.config/systemd/user"
WEB = InstallFile(FileRole.QUADLET, "web.container", b"[Container]\nImage=x\n", "w")
TICK = InstallFile(FileRole.COMPANION, "tick.timer", b"[Timer]\n", "w")
WORKLOAD = Workload(
    "web",
    (TICK, WEB),
    (
        DesiredUnit("web.service", UnitRole.RUNNING, "web.container", FileRole.QUADLET, "d"),
        DesiredUnit("tick.timer", UnitRole.RUNNING, "tick.timer", FileRole.COMPANION, "d"),
    ),
)
UNITS = {
    "web.service": UnitState(
        "web.service",
        LoadState.LOADED,
        ActiveState.ACTIVE,
        fragment_path="/run/user/1001/systemd/generator/web.service",
        source_path="/etc/containers/systemd/users/1001/web.container",
        file_state="generated",
    ),
    "tick.timer": UnitState(
        "tick.timer",
        LoadState.LOADED,
        ActiveState.ACTIVE,
        fragment_path="/run/user/1001/systemd/generator.early/tick.timer",
        source_path="/etc/eventd/units/1001/tick.timer",
        file_state="generated",
    ),
}
CLEAN = Foreign(folders=(HOME, "/etc/systemd/user", "/run/user/1001/systemd/user"))


def look(
    web: UnitState | None = None, foreign: Foreign | None = CLEAN, allow: frozenset[str] = frozenset()
) -> Audit:
    units = {**UNITS, "web.service": web or UNITS["web.service"]}
    seen = Observed(ACCOUNT, True, ManagerState.UP, None, {}, units, frozenset(), foreign=foreign)
    return audit(WORKLOAD, seen, LAYOUT, allow)


def web(**changes: object) -> UnitState:
    return replace(UNITS["web.service"], **changes)  # type: ignore[arg-type]


def test_what_eventd_installed_is_as_it_must_be() -> None:
    """Also with the distribution's drop-ins, and with what generators wrote."""
    right = (
        "/usr/lib/systemd/user/service.d/10-timeout.conf",
        "/run/user/1001/systemd/generator.early/web.service.d/x.conf",
    )
    assert look(web(drop_ins=right)) == Audit()


@pytest.mark.parametrize(
    ("state", "code", "path"),
    [
        (web(fragment_path=f"{HOME}/web.service", source_path=""), Code.SHADOWED, f"{HOME}/web.service"),
        (
            web(fragment_path=f"{HOME}/systemd/generator/web.service"),
            Code.SHADOWED,
            f"{HOME}/systemd/generator/web.service",
        ),
        (
            web(source_path="/home/web/.config/containers/systemd/web.container"),
            Code.SHADOWED,
            "/home/web/.config/containers/systemd/web.container",
        ),
        (web(drop_ins=(f"{HOME}/web.service.d/x.conf",)), Code.STRAY_DROP_IN, f"{HOME}/web.service.d/x.conf"),
        (
            web(drop_ins=("/etc/systemd/user/service.d/x.conf",)),
            Code.STRAY_DROP_IN,
            "/etc/systemd/user/service.d/x.conf",
        ),
        (
            web(drop_ins=("/run/user/1001/systemd/transient/web.service.d/50-x.conf",)),
            Code.STRAY_DROP_IN,
            "/run/user/1001/systemd/transient/web.service.d/50-x.conf",
        ),
        (
            web(
                load=LoadState.MASKED,
                file_state="masked-runtime",
                fragment_path="/run/user/1001/systemd/user/web.service",
            ),
            Code.MASKED,
            "/run/user/1001/systemd/user/web.service",
        ),
        (
            web(file_state="transient", fragment_path="/run/user/1001/systemd/transient/web.service"),
            Code.TRANSIENT,
            "/run/user/1001/systemd/transient/web.service",
        ),
    ],
)
def test_what_is_loaded_from_elsewhere_is_a_finding(state: UnitState, code: Code, path: str) -> None:
    """With the file that is the cause, as long as it is on the disk, or nobody looked."""
    on_disk = Foreign((path,), frozenset({path} if code is Code.MASKED else ()), CLEAN.folders)
    for foreign in (on_disk, None):
        (found,) = look(state, foreign).findings
        assert (found.code, found.unit) == (code, "web.service")
        assert found.path == path
        assert "systemctl --user -M web@" in found.command


@pytest.mark.parametrize(
    ("path", "code", "unit"),
    [
        (f"{HOME}/web.service", Code.SHADOWED, "web.service"),
        (f"{HOME}/web.service.d/a.conf", Code.STRAY_DROP_IN, "web.service"),
        ("/etc/systemd/user/service.d/a.conf", Code.STRAY_DROP_IN, "web.service"),
        ("/home/web/.config/containers/systemd/web.container", Code.SHADOWED, "web.service"),
        ("/home/web/.config/containers/systemd/container.d/a.conf", Code.STRAY_DROP_IN, "web.service"),
    ],
)
def test_what_a_reload_would_load_is_a_finding_before_it_is_loaded(path: str, code: Code, unit: str) -> None:
    """And the unit that it makes stale is not reloaded: that would make it effective."""
    found = look(web(needs_reload=True), replace(CLEAN, paths=(path,)))
    assert [(f.code, f.unit, f.path) for f in found.findings] == [(code, unit, path)]
    assert found.stale == ("web.service",)
    seen = Observed(
        ACCOUNT, True, ManagerState.UP, None, {}, UNITS, frozenset(), foreign=replace(CLEAN, paths=(path,))
    )
    stop = blocked(WORKLOAD, seen, Records(), Context(LAYOUT))
    assert isinstance(stop, BlockedError)
    assert (stop.reason, path in stop.message) == (code, True)


def test_one_file_is_one_finding() -> None:
    """Seen on the disk and in what is loaded, it is the same."""
    path = f"{HOME}/web.service.d/a.conf"
    assert len(look(web(drop_ins=(path,)), replace(CLEAN, paths=(path,))).findings) == 1


def test_a_file_that_is_gone_from_the_disk_is_reloaded_away() -> None:
    """What is loaded from a file that is no longer there takes a reload, and is no finding any more."""
    for state in (
        web(drop_ins=(f"{HOME}/web.service.d/a.conf",)),
        web(fragment_path=f"{HOME}/web.service", source_path=""),
        web(load=LoadState.MASKED, file_state="masked", fragment_path=f"{HOME}/web.service"),
    ):
        assert look(state) == Audit(stale=("web.service",))


def test_nothing_is_reloaded_while_something_foreign_is_on_the_disk() -> None:
    """One drop-in was removed, another one came: the second is a finding, and so is what is still loaded."""
    first, second = f"{HOME}/web.service.d/a.conf", f"{HOME}/service.d/b.conf"
    found = look(web(drop_ins=(first,)), replace(CLEAN, paths=(second,)))
    assert {f.path for f in found.findings} == {first, second}


def test_only_our_own_file_being_newer_is_safe() -> None:
    """NeedDaemonReload and nothing else."""
    assert look(web(needs_reload=True)) == Audit(stale=("web.service",))


def test_an_operator_may_allow_a_file() -> None:
    """On the disk, loaded, or both; the reload that loads it is safe."""
    path = "/etc/systemd/user/service.d/10-x.conf"
    foreign = replace(CLEAN, paths=(path,))
    allow = frozenset({path})
    assert look(web(drop_ins=(path,)), foreign, allow) == Audit()
    assert look(web(needs_reload=True), foreign, allow) == Audit(stale=("web.service",))


def test_what_cannot_be_looked_at_blocks() -> None:
    """Ignorance is not a clean bill."""
    (found,) = look(foreign=Foreign(problem="they change all the time")).findings
    assert found.code is Code.UNAUDITED


@pytest.mark.parametrize(
    ("unit", "folders"),
    [
        ("web.service", ["web.service.d", "service.d"]),
        ("a-b-c.service", ["a-b-c.service.d", "a-.service.d", "a-b-.service.d", "service.d"]),
        ("job@x-y.service", ["job@x-y.service.d", "job@.service.d", "service.d"]),
        ("web-app.container", ["web-app.container.d", "web-.container.d", "container.d"]),
    ],
)
def test_drop_in_folders_of_a_name(unit: str, folders: list[str]) -> None:
    """Its own, its template's, those of each prefix, its type's (systemd.unit(5))."""
    assert list(drop_in_folders(unit)) == folders


def test_which_folder_wins_over_which_file() -> None:
    """Companions come before the home, Quadlet units after it; nothing wins from the late folders."""
    names: Names = names_of(WORKLOAD)
    assert {r for r in Rank if names.shadows(r, "web.service")} == {Rank.FIRST, Rank.MIDDLE}
    assert {r for r in Rank if names.shadows(r, "tick.timer")} == {Rank.FIRST}
    assert {r for r in Rank if names.shadows(r, "web.container")} == {Rank.QUADLET}
    assert names.drops(Rank.LATE, "service.d")
    assert names.drops(Rank.QUADLET_LATE, "container.d")
    assert not names.drops(Rank.QUADLET, "service.d")
    places = list(user_places(ACCOUNT))
    assert len(places) > 5
    assert all(p.folder.startswith(("/home/web/", "/run/user/1001/")) for p in places)
