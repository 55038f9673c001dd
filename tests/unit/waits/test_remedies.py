"""Seed 002 and its three fixes, how a circle is told, and ways out that were tried before they are offered."""

import pytest

from eventd.waits.adapter_unit_folder import read_units, read_waits
from eventd.waits.model_build import folder_graph
from eventd.waits.model_cycles import cycles
from eventd.waits.model_declared import parse_waits
from eventd.waits.model_folder import read_catalogue
from eventd.waits.model_graph import Graph
from eventd.waits.model_remedies import Remedy, RemedyKind, remedies
from eventd.waits.model_sentences import headline, outcome, remedies_text, steps
from tests.unit.waits.waitgraphs import FIXTURES, ONESHOT, graph, wait

URL = "https://ci.example.org/"
GATE = wait("gate.service", URL, "server.service")


def of_fixture(name: str) -> Graph:
    folder = [str(FIXTURES / name)]
    ((path, content),) = read_waits(folder)
    waits, mistakes = parse_waits(content, path)
    assert not mistakes
    named = [place.text for each in waits for place in (each.unit, *each.served_by)]
    catalogue, syntax = read_catalogue(read_units(folder), named)
    assert not syntax
    return folder_graph(catalogue, waits)


def only(made: Graph) -> tuple[tuple[Remedy, ...], str]:
    (cycle,) = cycles(made)
    return remedies(made, cycle), headline(made, cycle)


def test_the_deadlock_of_seed_002_is_spelled_out():
    """Three sentences: the proxy waits for the URL, the dashboard answers it, and is ordered after the proxy."""
    made = of_fixture("seed-002")
    (cycle,) = cycles(made)
    assert steps(cycle) == (
        "deploy-proxy.service does not finish starting before https://ci.commoninternet.net answers with 200"
        " (waits.toml:4)",
        "https://ci.commoninternet.net is answered by deploy-dashboard.service (served_by in waits.toml:5)",
        "deploy-dashboard.service is not started before deploy-proxy.service has finished starting"
        " (After=deploy-proxy.service in deploy-dashboard.service:3)",
    )
    assert "900 s" in outcome(made, cycle)


def test_the_ways_out_of_seed_002_are_those_of_the_seed():
    """Its three fixes are offered; that the drone's URL is as circular is told with the reason."""
    found, _ = only(of_fixture("seed-002"))
    assert [way.kind for way in found if way.works] == [RemedyKind.PROBE, RemedyKind.DROP, RemedyKind.REVERSE]
    (bad,) = [way for way in found if not way.works]
    assert "deploy-drone.service answers" in bad.text
    assert any("After=deploy-proxy.service in deploy-drone.service:3" in sentence for sentence in bad.again)


@pytest.mark.parametrize("name", ["fix-1-ping", "fix-2-concurrent", "fix-3-reversed"])
def test_the_fixes_of_seed_002_come_out_clean(name):
    """A URL of the proxy's own, no ordering, or the reverse ordering: each breaks the circle."""
    assert cycles(of_fixture(name)) == ()


def test_the_fix_that_the_seed_calls_circular_is_circular():
    """Waiting for the drone instead does not help: that is ordered after the proxy as well."""
    (cycle,) = cycles(of_fixture("fix-1-drone"))
    assert "unit:deploy-drone.service" in cycle.nodes


def test_a_reversal_by_half_is_still_circular():
    """`After=` added on the one side, and not dropped on the other, is worse than before."""
    files = {
        "gate.service": f"[Unit]\nWants=server.service\nAfter=server.service\n{ONESHOT}",
        "server.service": f"[Unit]\nAfter=gate.service\n{ONESHOT}",
    }
    assert cycles(graph(files, GATE))


def test_dropping_one_of_two_ways_back_does_not_help():
    """While another ordering leads back too, dropping the first leaves a circle, and that is shown."""
    files = {
        "gate.service": f"[Unit]\nBefore=server.service\n{ONESHOT}",
        "server.service": f"[Unit]\nAfter=gate.service\n{ONESHOT}",
    }
    found, _ = only(graph(files, GATE))
    drop = next(way for way in found if way.kind is RemedyKind.DROP)
    assert not drop.works
    assert "finished starting" in drop.again[-1]
    reverse = next(way for way in found if way.kind is RemedyKind.REVERSE)
    assert reverse.works
    assert "Before=server.service" in reverse.text
    assert "After=gate.service" in reverse.text


def test_each_ordering_of_a_longer_way_can_be_dropped():
    """Every written link of the chain is offered by its place."""
    files = {
        "gate.service": ONESHOT,
        "between.service": f"[Unit]\nAfter=gate.service\n{ONESHOT}",
        "server.service": f"[Unit]\nAfter=between.service\n{ONESHOT}",
    }
    found, _ = only(graph(files, GATE))
    drops = {way.text for way in found if way.kind is RemedyKind.DROP and way.works}
    assert drops == {
        "drop After=between.service (units/server.service:2)",
        "drop After=gate.service (units/between.service:2)",
    }


def test_breaking_one_circle_is_not_blamed_for_another():
    """Of two circles through one unit, a way out of the one works although the other is still there."""
    files = {
        "gate.service": ONESHOT,
        **{f"{name}.service": f"[Unit]\nAfter=gate.service\n{ONESHOT}" for name in ("a", "b")},
    }
    made = graph(
        files,
        wait("gate.service", "https://a/", "a.service") + wait("gate.service", "https://b/", "b.service"),
    )
    first, second = cycles(made)
    for cycle in (first, second):
        assert any(way.works and way.kind is RemedyKind.DROP for way in remedies(made, cycle))


def test_an_implied_ordering_is_not_offered_to_be_dropped():
    """What systemd implies stands in no file; what was written to bring it about does."""
    files = {"gate.service": ONESHOT + "[Install]\nWantedBy=multi-user.target\n"}
    found, _ = only(graph(files, wait("gate.service", "unit:multi-user.target")))
    assert [way.text for way in found if way.kind is RemedyKind.DROP] == [
        "drop WantedBy=multi-user.target (units/gate.service:5)"
    ]


@pytest.mark.parametrize(
    ("service", "text"),
    [
        (ONESHOT, "hangs forever"),
        (ONESHOT + "TimeoutStartSec=5min\n", "start timeout (5min)"),
        (ONESHOT.replace("oneshot", "notify"), "start timeout (90s)"),
        (ONESHOT + "TimeoutStartSec=0\n", "hangs forever"),
    ],
)
def test_what_comes_of_it_depends_on_the_timeout(service, text):
    """A oneshot has no start timeout of its own; other types have DefaultTimeoutStartSec=."""
    made = graph({"gate.service": service, "server.service": f"[Unit]\nAfter=gate.service\n{ONESHOT}"}, GATE)
    assert text in outcome(made, cycles(made)[0])


def test_an_ordering_cycle_is_told_as_what_systemd_makes_of_it():
    """Nothing hangs there: systemd leaves one of the units out."""
    install = "[Install]\nWantedBy=multi-user.target\n"
    files = {
        "a.service": f"[Unit]\nAfter=b.service\n{ONESHOT}{install}",
        "b.service": f"[Unit]\nAfter=a.service\n{ONESHOT}{install}",
    }
    made = graph(files)
    (cycle,) = cycles(made)
    assert "ordered after the other" in headline(made, cycle)
    assert "leaves one of them out" in outcome(made, cycle)
    assert remedies_text(remedies(made, cycle)).startswith("drop After=")
