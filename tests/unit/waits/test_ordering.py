"""Which waits deadlock and which only look as if: the rules of systemd that the wait graph is made of."""

import pytest

from tests.unit.waits.waitgraphs import ONESHOT, SIMPLE, circles, graph, wait

URL = "https://ci.example.org/"


def after(*names: str, service: str = ONESHOT) -> str:
    return f"[Unit]\nAfter={' '.join(names)}\n{service}"


GATE = wait("gate.service", URL, "server.service")


def test_a_wait_for_what_is_ordered_after_it_is_circular():
    """The server's start is held until the waiter's start job ends, and that waits for the server."""
    (cycle,) = circles({"gate.service": ONESHOT, "server.service": after("gate.service")}, GATE)
    assert cycle.nodes == ("unit:gate.service", f"answer:{URL} by server.service", "unit:server.service")


def test_before_orders_as_after_does():
    """`Before=` in the waiter holds the server as `After=` in the server does."""
    files = {"gate.service": f"[Unit]\nBefore=server.service\n{ONESHOT}", "server.service": ONESHOT}
    (cycle,) = circles(files, GATE)
    assert cycle.edges[-1].setting == "Before=server.service"


def test_an_ordering_through_others_is_circular():
    """The server comes after something that comes after the waiter."""
    files = {
        "gate.service": ONESHOT,
        "between.target": "[Unit]\nAfter=gate.service\n",
        "server.service": after("between.target"),
    }
    (cycle,) = circles(files, GATE)
    assert "unit:between.target" in cycle.nodes


@pytest.mark.parametrize("key", ["Requires", "Wants", "BindsTo", "PartOf", "Upholds", "Requisite"])
def test_a_requirement_is_no_ordering(key):
    """A unit that requires the waiter without `After=` is started at the same time as it."""
    files = {"gate.service": ONESHOT, "server.service": f"[Unit]\n{key}=gate.service\n{ONESHOT}"}
    assert circles(files, GATE) == ()


@pytest.mark.parametrize(
    ("service", "circular"),
    [
        ("[Service]\nType=simple\nExecStart=/bin/true\n", False),
        ("[Service]\nType=exec\nExecStart=/bin/true\n", False),
        ("[Service]\nType=idle\nExecStart=/bin/true\n", False),
        ("[Service]\nExecStart=/bin/true\n", False),
        ("[Service]\nType=oneshot\nExecStart=/bin/true\n", True),
        ("[Service]\nType=notify\nExecStart=/bin/true\n", True),
        ("[Service]\nType=notify-reload\nExecStart=/bin/true\n", True),
        ("[Service]\nType=forking\nExecStart=/bin/true\n", True),
        ("[Service]\nType=dbus\nBusName=a.b\nExecStart=/bin/true\n", True),
        ("[Service]\nBusName=a.b\nExecStart=/bin/true\n", True),
        ("[Service]\nExecStop=/bin/true\n", True),
    ],
)
def test_only_a_start_job_that_lasts_holds_others_up(service, circular):
    """What `Type=simple` waits for in its main process holds nobody up: its start job ended at the exec."""
    found = circles({"gate.service": service, "server.service": after("gate.service")}, GATE)
    assert bool(found) is circular


@pytest.mark.parametrize("stage", ["pre", "post"])
def test_commands_around_the_main_one_hold_the_start_job(stage):
    """`ExecStartPre=` and `ExecStartPost=` are part of the start job whatever the type is."""
    files = {"gate.service": SIMPLE, "server.service": after("gate.service")}
    assert circles(files, wait("gate.service", URL, "server.service", stage=f'"{stage}"'))


def test_the_command_that_names_what_is_waited_for_is_the_one_that_waits():
    """Without `stage`, an `ExecStartPre=` with the URL in it is taken to wait for it; the main command is not."""
    files = {"gate.service": SIMPLE, "server.service": after("gate.service")}
    assert not circles(files, GATE)
    files["gate.service"] += f"ExecStartPre=/usr/bin/wait-for {URL}\n"
    assert circles(files, GATE)


def test_a_note_tells_that_a_wait_holds_nobody_up():
    """A wait in the main process of a simple service is not dropped without a word."""
    made = graph({"gate.service": SIMPLE, "server.service": after("gate.service")}, GATE)
    assert "after its start job has ended" in made.notes[0]


def test_waiting_for_a_url_of_its_own_is_not_circular():
    """A deploy that starts something and then waits for just that is what a health gate is for."""
    assert circles({"gate.service": ONESHOT}, wait("gate.service", URL, "gate.service")) == ()


def test_two_that_wait_before_they_serve_are_circular():
    """Each waits for the other before it answers anybody: whatever their types, neither ever answers."""
    files = {"a.service": SIMPLE, "b.service": SIMPLE}
    waits = wait("a.service", "tcp:b:1", "b.service", before_serving="true")
    assert circles(files, waits + wait("b.service", "tcp:a:1", "a.service")) == ()
    assert circles(files, waits + wait("b.service", "tcp:a:1", "a.service", before_serving="true"))


def test_a_target_comes_after_what_it_starts():
    """A unit that multi-user.target starts cannot wait for multi-user.target to be reached."""
    text = ONESHOT + "[Install]\nWantedBy=multi-user.target\n"
    (cycle,) = circles({"gate.service": text}, wait("gate.service", "unit:multi-user.target"))
    assert "a target comes after what it starts" in cycle.edges[-1].sentence


def test_a_unit_ordered_after_its_target_is_not_waited_for_by_it():
    """No ordering is implied where the unit says `After=` of the target that wants it."""
    text = "[Unit]\nAfter=multi-user.target\n" + ONESHOT + "[Install]\nWantedBy=multi-user.target\n"
    assert circles({"gate.service": text}, wait("gate.service", "unit:multi-user.target")) == ()


@pytest.mark.parametrize("where", ["gate.service", "mine.target"])
def test_without_default_dependencies_a_target_implies_nothing(where):
    """`DefaultDependencies=no` in either of the two switches that implied ordering off."""
    off = "[Unit]\nDefaultDependencies=no\n"
    files = {
        "gate.service": (off if where == "gate.service" else "") + ONESHOT,
        "mine.target": (off if where == "mine.target" else "[Unit]\n") + "Wants=gate.service\n",
    }
    assert circles(files, wait("gate.service", "unit:mine.target")) == ()


def test_a_link_in_a_wants_folder_is_an_order_of_its_target():
    """`mine.target.wants/gate.service` is `Wants=` of the target."""
    files = {"gate.service": ONESHOT, "mine.target": "[Unit]\n"}
    pulled = (("mine.target", "Wants", "gate.service", "units/mine.target.wants/gate.service"),)
    waits = wait("gate.service", "unit:mine.target")
    assert circles(files, waits) == ()
    (cycle,) = circles(files, waits, pulled=pulled)
    assert "mine.target.wants/gate.service" in cycle.edges[-1].sentence


def test_a_unit_state_that_takes_no_start_is_not_waited_for():
    """Waiting for another to be inactive or failed is no wait for its start."""
    files = {"gate.service": ONESHOT, "server.service": after("gate.service")}
    assert circles(files, wait("gate.service", "unit:server.service"))
    for state in ("inactive", "failed"):
        assert circles(files, wait("gate.service", f"unit:server.service={state}")) == ()


def test_a_mount_is_its_mount_unit():
    """`mount:/srv/photos` waits for srv-photos.mount, if there is one."""
    files = {
        "gate.service": ONESHOT,
        "srv-photos.mount": "[Unit]\nAfter=gate.service\n[Mount]\nWhat=/dev/sdb\n",
    }
    assert circles(files, wait("gate.service", "mount:/srv/photos"))
    assert circles(files, wait("gate.service", "mount:/srv/other")) == ()


def test_requires_mounts_for_orders_after_the_mount():
    """A server that needs a mount which comes after the waiter comes after the waiter."""
    files = {
        "gate.service": ONESHOT,
        "srv.mount": "[Unit]\nAfter=gate.service\n[Mount]\nWhat=/dev/sdb\n",
        "server.service": "[Unit]\nRequiresMountsFor=/srv/data\n" + ONESHOT,
    }
    assert circles(files, GATE)


def test_one_of_several_servers_is_enough():
    """Of two that answer, one that is not held up is enough; if both come after the waiter, it is circular."""
    files = {"gate.service": ONESHOT, "server.service": after("gate.service"), "other.service": ONESHOT}
    both = wait("gate.service", URL).replace(
        "for =", 'served_by = ["server.service", "other.service"]\nfor ='
    )
    assert circles(files, both) == ()
    files["other.service"] = after("gate.service")
    assert circles(files, both)


def test_an_any_is_circular_only_if_all_of_it_is():
    """`any(…)` goes on as soon as one part holds; `all(…)` waits for each."""
    files = {"gate.service": ONESHOT, "late.service": after("gate.service"), "free.service": ONESHOT}
    late, free = "unit:late.service", "unit:free.service"
    assert circles(files, wait("gate.service", f"any({late}, {free})")) == ()
    assert circles(files, wait("gate.service", f"any({late}, not({late}))")) == ()
    assert circles(files, wait("gate.service", f"all({late}, {free})"))
    assert circles(files, wait("gate.service", f"any({late}, all({free}, {late}))"))
    assert circles(files, wait("gate.service", f"any({late}, all({free}, not({late})))")) == ()


def test_orderings_alone_are_circular_if_started_together():
    """Two units of one boot that come after each other; systemd would leave one out."""
    install = "[Install]\nWantedBy=multi-user.target\n"
    files = {"a.service": after("b.service") + install, "b.service": after("a.service") + install}
    (cycle,) = circles(files)
    assert cycle.waits == ()
    assert set(cycle.nodes) == {"unit:a.service", "unit:b.service"}


def test_orderings_among_units_that_are_never_started_together_are_no_cycle():
    """Cycles are looked for within one transaction: what is enabled for no boot is not in it."""
    on_demand = "[Install]\nWantedBy=special.target\n"
    files = {"a.service": after("b.service") + on_demand, "b.service": after("a.service") + on_demand}
    assert circles(files) == ()
    files["special.target"] = "[Unit]\nRequires=a.service b.service\n"
    assert circles(files)


def test_a_wait_downstream_of_a_circle_is_not_blamed():
    """What only waits for somebody in a circle is held up too, but it is not in the circle."""
    files = {
        "gate.service": ONESHOT,
        "server.service": after("gate.service"),
        "late.service": after("server.service"),
    }
    (cycle,) = circles(files, GATE + wait("late.service", "unit:server.service"))
    assert "unit:late.service" not in cycle.nodes


def test_each_wait_has_its_own_cycle():
    """Two waits of one unit for two servers behind it are two circles, each told once."""
    files = {"gate.service": ONESHOT, **{f"{name}.service": after("gate.service") for name in ("a", "b")}}
    waits = wait("gate.service", "https://a/", "a.service") + wait("gate.service", "https://b/", "b.service")
    assert len(circles(files, waits + waits)) == 2


def test_a_unit_that_nobody_has_orders_nobody():
    """`After=` of a unit that does not exist holds nothing back."""
    files = {"gate.service": ONESHOT, "server.service": after("absent.service")}
    assert circles(files, GATE) == ()
