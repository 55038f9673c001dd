"""Workloads that wait for themselves are refused when they are loaded, each at its own line; others are not."""

import pytest

from eventd.platform.systemd.model_live_unit import LiveUnit
from eventd.waits.model_build import desired_graph
from eventd.waits.model_cycles import cycles
from eventd.waits.model_declared import parse_waits
from eventd.waits.model_refusal import CODE, NOTHING_LIVE, refusals
from eventd.waits.model_units import Listener, LiveGraph
from tests.unit.waits.waitgraphs import desired

IMAGE = "[Container]\nImage=localhost/x\n"


def toml(requires: str = "", expect: str = "") -> str:
    lines = ["# options"]
    lines += [f'requires = ["{requires}"]'] if requires else []
    lines += [f'[health]\nexpect = ["{expect}"]'] if expect else []
    return "\n".join(lines) + "\n"


def workload(name: str, options: str = "", container: str = IMAGE) -> dict[str, str]:
    files = {f"workloads/{name}/{name}.container": container}
    return files | ({f"workloads/{name}/workload.toml": options} if options else {})


def live(*units: LiveUnit) -> LiveGraph:
    return LiveGraph(units)


def refused(files: dict[str, str], host: LiveGraph = NOTHING_LIVE) -> dict[str, list[tuple[str, int]]]:
    found = refusals(desired(files), host)
    assert all(each.code == CODE for many in found.values() for each in many)
    return {name: [(each.file, each.line) for each in many] for name, many in found.items()}


def test_two_workloads_that_require_each_other_are_refused_at_their_lines():
    """A requires b healthy, b requires a active: both are refused, a third is not."""
    files = (
        workload("a", toml("workload:b=healthy")) | workload("b", toml("workload:a=active")) | workload("c")
    )
    assert refused(files) == {
        "a": [("workloads/a/workload.toml", 2)],
        "b": [("workloads/b/workload.toml", 2)],
    }


def test_a_refusal_spells_out_the_circle_and_what_breaks_it():
    """A sentence for each step, and only such hints as were tried."""
    files = workload("a", toml("workload:b=healthy")) | workload("b", toml("workload:a=active"))
    (found,) = refusals(desired(files))["a"]
    assert found.key == "requires"
    assert (
        "eventd starts nothing of workload a before workload b is healthy (workloads/a/workload.toml:2)"
        in found.message
    )
    assert (
        "eventd starts nothing of workload b before workload a is active (workloads/b/workload.toml:2)"
        in found.message
    )
    assert "drop workload:b=healthy (workloads/a/workload.toml:2)" in found.hint
    assert "workload:b=active" not in found.hint  # would be circular as well


def test_a_weaker_requirement_is_offered_where_it_helps():
    """B is active before it is healthy: for a, which b only expects once it runs, =active is enough."""
    files = workload("a", toml("workload:b=healthy")) | workload("b", toml(expect="workload:a=active"))
    (found,) = refusals(desired(files))["a"]
    assert "ask for workload:b=active in workloads/a/workload.toml:2" in found.hint


def test_expecting_each_other_is_not_circular():
    """Health gates hold no start: two workloads that are healthy only together come up together."""
    files = workload("a", toml(expect="user-unit:b/b.service")) | workload(
        "b", toml(expect="user-unit:a/a.service")
    )
    assert refused(files) == {}
    files = workload("a", toml(expect="workload:b=healthy")) | workload(
        "b", toml(expect="workload:a=healthy")
    )
    assert set(refused(files)) == {"a", "b"}


def test_a_chain_of_workloads_is_no_circle():
    """C needs b, b needs a."""
    files = (
        workload("a") | workload("b", toml("workload:a=healthy")) | workload("c", toml("workload:b=active"))
    )
    assert refused(files) == {}


def test_an_alternative_saves_a_workload():
    """`any` with one part that can come is not refused."""
    files = workload("a", toml("any(workload:b=active, mount:/srv)")) | workload(
        "b", toml("workload:a=active")
    )
    assert refused(files) == {}


@pytest.mark.parametrize(
    "requires",
    [
        "unit:a.service",
        "user-unit:a/a.service",
        "container:a=healthy",
        "http://127.0.0.1:8080/",
        "tcp:[::1]:8080",
    ],
)
def test_a_workload_that_requires_what_it_provides_is_refused(requires):
    """Its own unit, container or port comes only after the gate that asks for it."""
    files = workload("a", toml(requires), IMAGE + "PublishPort=8080:80\n")
    assert refused(files) == {"a": [("workloads/a/workload.toml", 2)]}


def test_expecting_what_it_provides_is_what_health_is_for():
    """The same in `[health] expect` is no circle."""
    container = IMAGE + "PublishPort=8080:80\n"
    for expect in ("unit:a.service", "container:a=healthy", "http://127.0.0.1:8080/"):
        assert refused(workload("a", toml(expect=expect), container)) == {}


def test_a_published_port_says_whom_a_url_waits_for():
    """A asks for the port of b, and b for that of a."""
    files = workload("a", toml("tcp:127.0.0.1:2"), IMAGE + "PublishPort=127.0.0.1:1:80\n")
    files |= workload("b", toml("tcp:localhost:1"), IMAGE + "PublishPort=2:80\n")
    assert set(refused(files)) == {"a", "b"}


def test_requiring_what_comes_after_the_daemon_is_no_circle():
    """multi-user.target is reached once eventd is up, whatever its workloads wait for."""
    units = (
        LiveUnit("eventd.service", {}, "notify"),
        LiveUnit("multi-user.target", {"After": ("eventd.service",)}),
    )
    assert refused(workload("a", toml("unit:multi-user.target")), live(*units)) == {}


def test_a_system_unit_before_the_daemon_that_waits_for_a_workload_is_circular():
    """Eventd comes after a unit whose script waits for a port that only eventd's workload opens: seed 002 again."""
    units = (
        LiveUnit("eventd.service", {"After": ("network-online.target",)}, "notify"),
        LiveUnit("network-online.target", {"After": ("deploy-proxy.service",)}),
        LiveUnit("deploy-proxy.service", {}, "oneshot"),
    )
    waits, _ = parse_waits(b'[[wait]]\nunit = "deploy-proxy.service"\nfor = "http://127.0.0.1:8080/"\n')
    files = workload("a", "", IMAGE + "PublishPort=8080:80\n") | workload("b")
    assert refused(files, LiveGraph(units)) == {}
    assert refused(files, LiveGraph(units, waits=waits)) == {"a": [("workloads/a/a.container", 0)]}


def test_a_workload_may_be_declared_to_answer():
    """`served_by = "WORKLOAD/UNIT"` where no published port tells it."""
    units = (
        LiveUnit("eventd.service", {"After": ("deploy-proxy.service",)}, "notify"),
        LiveUnit("deploy-proxy.service", {}, "oneshot"),
    )
    text = b'[[wait]]\nunit = "deploy-proxy.service"\nfor = "https://ci.example.org/"\nserved_by = "a/a.service"\n'
    waits, _ = parse_waits(text)
    assert set(refused(workload("a"), LiveGraph(units, waits=waits))) == {"a"}


def test_a_listener_of_the_host_answers_for_nobody_of_the_repository():
    """What something outside listens on is there whatever the workloads do."""
    host = LiveGraph((LiveUnit("nginx.service", {}, "forking"),), (Listener("0.0.0.0", 80, "nginx.service"),))
    files = workload("a", toml("http://localhost/"))
    assert refused(files, host) == {}
    made = desired_graph(desired(files), host)
    assert any(edge.awaited.node == "unit:nginx.service" for edge in made.edges)


def test_notify_healthy_makes_the_units_after_it_wait():
    """A container that is Notify=healthy holds up what comes after it, and that is in the graph."""
    files = workload("a", "", IMAGE + "HealthCmd=true\nNotify=healthy\n")
    files["workloads/a/b.container"] = "[Unit]\nAfter=a.service\n" + IMAGE
    files["workloads/a/workload.toml"] = toml("unit:b.service")
    assert refused(files) == {"a": [("workloads/a/workload.toml", 2)]}


def test_a_mistaken_predicate_is_left_to_who_reads_the_gates():
    """A text that cannot be read makes no edge, and breaks nothing."""
    assert refused(workload("a", toml("wrokload:b=healthy"))) == {}


def test_many_workloads_are_looked_at_in_no_time():
    """Three hundred workloads, each requiring the one before: no circle, and no quadratic search for one."""
    files: dict[str, str] = {}
    for number in range(300):
        files |= workload(f"w{number}", toml(f"workload:w{number - 1}=healthy") if number else "")
    made = desired_graph(desired(files), NOTHING_LIVE)
    assert cycles(made) == ()
    assert sum(node.kind == "workload" for node in made.nodes.values()) == 300
