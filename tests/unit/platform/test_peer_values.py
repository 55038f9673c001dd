"""Scope: what a peer on a bus says, on its way into facts, events and sentences."""

from __future__ import annotations

from typing import Any

import pytest

from eventd.kernel.model.budget import Budget
from eventd.kernel.model.conduct import FORGIVEN, Conduct
from eventd.kernel.model.text import printable
from eventd.managers.model_trouble import Evidence, explain
from eventd.platform.dbus.errors import BadReplyError, dbus_error
from eventd.platform.model_events import PlatformOrigin
from eventd.platform.model_facts import UnitState
from eventd.platform.systemd import source_unit_table as unit_table
from eventd.platform.systemd.adapter_unit_values import ListedUnit, fold, known, unit_name, unit_of, unit_path
from eventd.platform.systemd.source_unit_table import UnitTable
from tests.unit.kernel.recorder import Recorder


@pytest.mark.parametrize(
    "name",
    [
        "a.service",
        "-.mount",
        "dev-disk-by\\x2duuid-a\\x2db.device",
        "a@b@c.socket",
        "getty@.service",
        f"{'x' * 247}.service",
    ],
)
def test_a_name_that_a_manager_gives_is_a_units(name: str):
    """Also escaped, of an instance with an `@`, as long as can be; and it is found again by its path."""
    assert unit_of(name) == name
    assert unit_name(unit_path(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "x",
        "a b.service",
        "a\n.service",
        "a.service\n",
        f"{'x' * 248}.service",
        "é.service",
        ".",
        "a.SERVICE",
    ],
)
def test_a_name_that_no_manager_gives_is_refused(name: str):
    """Too long, of other characters, of no type. Its text is quoted short and printable."""
    with pytest.raises(BadReplyError) as raised:
        unit_of(name)
    assert len(str(raised.value)) < 200
    assert str(raised.value).isprintable()
    row = [name, "", "loaded", "active", "running", "", "/x", 0, "", "/"]
    with pytest.raises(BadReplyError):
        ListedUnit.of(row)


@pytest.mark.parametrize(
    "properties",
    [
        {"ActiveState": "x" * 100},
        {"ActiveState": ["active"]},
        {"SubState": 7},
        {"SubState": "a b"},
        {"Result": "\x1b[2J"},
        {"FragmentPath": "/" + "x" * 5000},
        {"SourcePath": ["/x"]},
        {"DropInPaths": "/x"},
        {"DropInPaths": ["/x"] * 1000},
        {"DropInPaths": ["/" + "x" * 4000] * 100},
        {"NeedDaemonReload": 1},
        {"InvocationID": "x" * 16},
        {"InvocationID": bytes(1000)},
        {"Job": 7},
        {"Job": ["7", "/"]},
        {"MainPID": "7"},
        {"StateChangeTimestampMonotonic": "now"},
        {"StatusText": ["x"]},
    ],
)
def test_a_value_of_another_type_or_size_is_refused(properties: dict[str, Any]):
    """A fact has of a unit what systemd can say of one, and nothing else."""
    with pytest.raises(BadReplyError):
        fold(UnitState("a.service"), properties)


def test_what_a_service_says_of_itself_is_cut_and_printable():
    """It may say anything; it ends up on a terminal."""
    said = fold(
        UnitState("a.service"), {"StatusText": "\x1b[2J red\n\n alert " + "x" * 1_000_000}
    ).status_text
    assert said.startswith("?[2J red alert xxx")
    assert len(said) <= 300


def test_of_all_properties_only_those_with_a_place_are_kept():
    """Whoever sends a million of them has them forgotten at once."""
    assert known({"P1": "x", "MainPID": 7}) == {"MainPID": 7}


def test_a_unit_is_kept_at_one_other_place_only():
    """Whoever answers may find an alias at another path each time it is asked."""
    table = UnitTable(Recorder(), PlatformOrigin.USER_MANAGER, "evil", everything=False)
    table.watch(frozenset({"web.service"}))
    for number in range(1000):
        table.set_path("web.service", f"/org/freedesktop/systemd1/unit/x{number}")
    assert len(table._paths) == 2
    assert list(table.names("/org/freedesktop/systemd1/unit/x999", "x")) == ["web.service"]
    table.set_path("web.service", unit_path("web.service"))
    assert list(table.names(unit_path("web.service"), "x")) == ["web.service"]
    table.watch(frozenset())
    assert (table._paths, table._alias_paths) == ({}, {})


def test_units_of_one_scope_are_bounded_and_watched_ones_always_kept(monkeypatch, caplog):
    """A system with units without end is said once, and what workloads wait for is known all the same."""
    monkeypatch.setattr(unit_table, "MOST", 10)
    table = UnitTable(Recorder(), PlatformOrigin.SYSTEMD, "", everything=True)
    table.watch(frozenset({"wanted.service"}))
    rows = [[f"u{n}.service", "", "loaded", "active", "running", "", "/x", 0, "", "/"] for n in range(50)]
    rows.append(["wanted.service", "", "loaded", "active", "running", "", "/x", 0, "", "/"])
    table.apply_listed(map(ListedUnit.of, rows), complete=True)
    assert table.get("u9.service") is not None
    assert table.get("u10.service") is None
    assert table.get("wanted.service") is not None
    assert caplog.text.count("not all are tracked") == 1


@pytest.mark.parametrize(
    ("text", "most", "kept"),
    [
        ("plain", 10, "plain"),
        ("a\tb\nc", 10, "a b c"),
        ("\x1b[2J\u202e\udc80", 10, "?[2J??"),
        ("x" * 50, 10, "x" * 10 + "…"),
        ("grün", 10, "grün"),
    ],
)
def test_a_text_of_others_is_printable_and_short(text: str, most: int, kept: str):
    """It becomes a part of our sentences."""
    assert printable(text, most) == kept


def test_an_error_of_a_peer_is_short_whatever_it_is_called():
    """Its text and its name are the peer's."""
    error = dbus_error(
        "org.x.\x1b[2J" + "y" * 10_000, "\x1b[2J" + "x" * 1_000_000, what="StartUnit of systemd"
    )
    assert len(str(error)) < 400
    assert str(error).isprintable()
    assert error.reason == "unknown-error"
    assert dbus_error("org.x.LoadFailed2", "", what="StartUnit").reason == "load-failed2"


def test_a_budget_comes_back_with_time_and_no_further_than_its_size():
    """So much at once, so much a second."""
    budget = Budget(3, 1)
    assert [budget.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [budget.take(101.5), budget.take(101.5)] == [True, False]
    assert not budget.take(1000.0, 3.5)
    assert budget.take(1000.0, 3)
    assert not budget.take(999.0)  # a clock that goes back gives nothing


def test_a_peer_is_left_alone_longer_each_time_until_it_is_forgiven():
    """Two seconds, four, up to five minutes; after ten good minutes it is as at first."""
    conduct, now = Conduct(), 1000.0
    pauses = []
    for _ in range(10):
        pauses.append(conduct.offended(now))
        assert conduct.left(now) == pauses[-1]
        now = conduct.until
        assert conduct.left(now) == 0
    assert pauses[:4] == [2, 4, 8, 16]
    assert pauses[-1] == 300
    assert conduct.offended(now + FORGIVEN + 1) == 2


@pytest.mark.parametrize("reason", ["signal-flood", "bad-reply", "bus-misbehaves"])
def test_a_bus_that_misbehaves_is_a_cause_of_its_own(reason: str):
    """With what was wrong, and where to look."""
    from eventd.kernel.model.errors import TemporaryError
    from eventd.platform.model_facts import Account, ActiveState

    account = Account("evil", 1001, 1001, "/home/evil")
    state = UnitState("user@1001.service", active=ActiveState.ACTIVE)
    found = explain(account, state, Evidence(), TemporaryError("it sent more signals", reason=reason))
    assert found is not None
    assert found.reason == "user-manager-unavailable"
    assert "(bus misbehaves): it sent more signals" in found.message
    assert "systemctl status user-1001.slice" in found.hint
