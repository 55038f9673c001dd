"""Scope: the critical path: what each hop is, that hops cover the time without a gap, and the sentences."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventd.boot.model import (
    BootOrigin,
    BootRecord,
    FactTime,
    Span,
    SpanKind,
    caveat,
    headline,
    listed,
    seconds,
)
from eventd.boot.model_path import Hop, critical_path
from eventd.platform.systemd.model_times import UnitTimes
from tests.unit.boot.boots import ONLINE, UNITS, record, start, workload

WAIT, PREPARE = SpanKind.WAIT, SpanKind.PREPARE


def covers(path: tuple[Hop, ...], end: float) -> None:
    """Fail unless the hops follow each other from 0 to `end`."""
    assert path[0].begin == 0
    assert path[-1].end == end
    assert all(one.end == two.begin for one, two in itertools.pairwise(path)), path
    assert all(hop.seconds > 0 for hop in path)


def hop(path: tuple[Hop, ...], subject: str) -> Hop:
    """Return the longest hop of a subject."""
    return max((hop for hop in path if hop.subject == subject), key=lambda hop: hop.seconds)


def test_a_wait_leads_to_the_unit_that_took_the_time() -> None:
    """The target was reached at once; the service that it is ordered after took 16.7 s of the 26.1."""
    photos = workload("photos", Span(WAIT, ONLINE, 10.0, 20.1), *start("photos", 20.1, 25.1), converged=26.1)
    path = critical_path(record(photos))
    covers(path, 26.1)
    network = hop(path, "wait-online.service")
    assert (network.begin, network.end) == (3.4, 20.1)
    assert network.what == f"wait-online.service starts; photos waits for {ONLINE}"
    assert network.share(26.1) == pytest.approx(0.64, abs=0.01)
    assert [each.subject for each in path] == [
        "kernel", "initrd", "systemd", "systemd", "wait-online.service", "photos", "photos",
    ]  # fmt: skip


def test_the_last_workload_to_converge_is_the_one() -> None:
    """One that converged earlier is not on the path, however long it waited."""
    early = workload("early", Span(WAIT, ONLINE, 5.0, 20.1), *start("early", 20.1, 21), converged=22)
    late = workload("late", *start("late", 5.0, 29.0), converged=30)
    path = critical_path(record(early, late))
    covers(path, 30)
    assert not [each for each in path if "early" in each.what]


def test_a_slow_manager_that_was_started_by_the_boot_leads_past_eventd() -> None:
    """user@UID.service began before eventd asked for it: what it was started after comes before it."""
    db = workload("db", Span(PREPARE, "start-manager db", 5, 10), *start("db", 10, 12), converged=13)
    path = critical_path(record(db))
    covers(path, 13)
    manager = hop(path, "manager:db")
    assert (manager.begin, manager.end, manager.what) == (4.15, 9.9, "user@1001.service starts")
    assert not [each for each in path if each.subject == "eventd"]
    assert "eventd connects to the manager of db" in [each.what for each in path]


def test_a_manager_that_eventd_started_is_part_of_its_step() -> None:
    """It began in the step, so the path goes on with what eventd did before."""
    db = workload("db", Span(PREPARE, "start-manager db", 5, 10), *start("db", 10, 12), converged=13)
    facts = (FactTime("manager:db", 9.9, 5.5, unit="user@1001.service"),)
    path = critical_path(record(db, facts=facts))
    covers(path, 13)
    assert hop(path, "manager:db").begin == 5.5
    assert hop(path, "eventd").what == "eventd starts, and reads the host"


def test_what_no_unit_brings_is_a_wait_of_its_own() -> None:
    """A remote answer has no unit: the wait itself is what took the time, and eventd came before it."""
    text = "https://registry.example/v2/"
    web = workload("web", Span(WAIT, text, 6, 15), *start("web", 15, 16), converged=17)
    path = critical_path(record(web))
    covers(path, 17)
    assert (hop(path, text).begin, hop(path, text).end) == (6, 15)
    assert hop(path, text).what == f"web waits for {text}"
    assert [(each.begin, each.what) for each in path if each.subject == "eventd"][-2:] == [
        (4.2, "eventd starts, and reads the host"),
        (4.9, "eventd plans web"),
    ]


def test_a_unit_that_nothing_started_is_a_wait_too() -> None:
    """Somebody started the target by hand at 20.1 s: what it is ordered after was ready long before."""
    units = (*UNITS[:2], UnitTimes("network-online.target", 20.1, 20.1, ("network.target",)), *UNITS[4:])
    photos = workload("photos", Span(WAIT, ONLINE, 10, 20.1), *start("photos", 20.1, 21), converged=22)
    path = critical_path(record(photos, units=units))
    covers(path, 22)
    assert (hop(path, ONLINE).begin, hop(path, ONLINE).end) == (10, 20.1)


def test_a_wait_for_another_workload_leads_through_it() -> None:
    """Album waited for db: db's own story is on the path."""
    db = workload("db", *start("db", 10, 12), converged=13.1)
    web = workload("web", Span(WAIT, "workload:db=healthy", 6, 13.1), *start("web", 13.1, 14), converged=15)
    path = critical_path(record(db, web))
    covers(path, 15)
    assert "db: db.service starts" in [each.what for each in path]


def test_two_that_wait_for_each_other_end_somewhere() -> None:
    """A record that goes in a circle (all at one instant) still gives a path."""
    facts = (FactTime("workload:a=active", 9, workload="a"), FactTime("workload:b=active", 9, workload="b"))
    a = workload("a", Span(WAIT, "workload:b=active", 5, 9), converged=9)
    b = workload("b", Span(WAIT, "workload:a=active", 5, 9), converged=9)
    covers(critical_path(record(a, b, facts=facts)), 9)


def test_a_run_that_was_busy_with_another_is_named() -> None:
    """The fact came in the middle of a run; only the next one could start the workload."""
    db = workload("db", *start("db", 10, 22), converged=23)
    photos = workload("photos", Span(WAIT, ONLINE, 10, 20.1), *start("photos", 23.05, 24), converged=25)
    path = critical_path(record(db, photos))
    covers(path, 25)
    assert "eventd ends its run with db before it turns to photos" in [each.what for each in path]


def test_while_something_waits_the_path_leads_to_now() -> None:
    """Not the last that converged, but what keeps the host from it."""
    web = workload("web", *start("web", 5, 6), converged=7)
    photos = workload("photos", Span(WAIT, "mount:/srv", 6), waits_for=("mount:/srv",))
    facts = (FactTime("mount:/srv"),)
    boot = record(web, photos, facts=facts, complete=False)
    path = critical_path(boot)
    covers(path, 31.2)
    assert path[-1].what == "photos waits for mount:/srv"
    assert headline(boot) == "homelab had not converged 31.2 s after the kernel started: photos has not"
    assert boot.state == "held"


def test_a_start_of_the_daemon_is_not_told_as_a_boot() -> None:
    """Its story begins with the daemon, and says so."""
    boot = record(
        workload("web", *start("web", 1, 2), converged=3), origin=BootOrigin.DAEMON, started=0.0, ready=0.5,
        commit_at=0.2, uptime=11000.0, units=(),
    )  # fmt: skip
    path = critical_path(boot)
    covers(path, 3)
    assert path[0].subject == "eventd"
    assert caveat(boot) == "eventd started 3 h 3 min after the boot; this is its start, not the boot's"
    assert headline(boot) == "homelab was converged 3.00 s after eventd started (web)"


def test_an_empty_host_has_a_path_to_its_commit() -> None:
    """With no workload, the boot ends when it was clear that there is none."""
    boot = record(commit_at=6.0)
    covers(critical_path(boot), 6.0)
    assert critical_path(boot)[-1].what == "eventd fetches the repository"
    assert "ready, with no workload to run" in headline(boot)


def test_what_systemd_cannot_tell_is_left_out() -> None:
    """No times but the daemon's own: still one path without a gap."""
    boot = record(workload("web", *start("web", 5, 6), converged=7), units=(), unit="", facts=())
    covers(critical_path(boot), 7)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b", "c"]),
            st.sampled_from(list(SpanKind)),
            st.sampled_from(
                [ONLINE, "workload:a=healthy", "workload:b=healthy", "nobody:knows", "start-manager db"]
            ),
            st.floats(0, 40),
            st.floats(0, 40),
        ),
        max_size=12,
    ),
    st.lists(st.tuples(st.floats(-5, 40), st.floats(-5, 40)), min_size=2, max_size=2),
)
def test_any_record_has_a_path_without_a_gap(
    spans: list[tuple[str, SpanKind, str, float, float]], times: list[tuple[float, float]]
) -> None:
    """However the times contradict each other, the hops cover all of it, and it ends."""
    facts = (
        FactTime(ONLINE, *times[0], unit="network-online.target"),
        FactTime("workload:a=healthy", *times[1], workload="a"),
        FactTime("workload:b=healthy", times[0][0], workload="b"),
    )
    workloads = [
        workload(
            name, *(Span(k, t, min(b, e), max(b, e)) for n, k, t, b, e in spans if n == name), converged=40
        )
        for name in ("a", "b", "c")
    ]
    boot: BootRecord = record(*workloads, facts=facts)
    covers(critical_path(boot), 40)
    covers(critical_path(replace(boot, units=(), origin=BootOrigin.MANAGER)), 40)


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0004, "0 ms"), (0.25, "250 ms"), (1.0, "1.00 s"), (31.24, "31.2 s"), (59.96, "1 min"), (125, "2 min 5 s"),
     (3600, "1 h"), (11400, "3 h 10 min"), (200000, "2 d 8 h")],
)  # fmt: skip
def test_lengths_are_said_as_people_do(value: float, said: str) -> None:
    """Three digits at most, in the unit that fits."""
    assert seconds(value) == said


def test_long_lists_of_names_are_counted() -> None:
    """A thousand workloads do not fit a sentence."""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert listed(str(n) for n in range(1000)) == "0, 1, 2 and 997 more"
