"""A folder of unit files as systemd puts it together, and no false alarm on what Debian 13 installs."""

import json
import os

import pytest

from eventd.kernel.model.errors import PermanentError
from eventd.waits.adapter_unit_folder import read_units, read_waits
from eventd.waits.model_build import folder_graph
from eventd.waits.model_cycles import cycles
from eventd.waits.model_folder import TextFile, UnitFiles, read_catalogue
from eventd.waits.model_graph import EdgeKind
from eventd.waits.model_units import mount_unit, specify
from tests.unit.waits.waitgraphs import FIXTURES, ONESHOT, SIMPLE, circles, graph, units, wait

URL = "https://ci.example.org/"
GATE = wait("gate.service", URL, "server.service")


def debian(where: str) -> UnitFiles:
    """What Debian 13 installs: all that the dependency lines of its unit files say."""
    captured = json.loads((FIXTURES / "debian-13.json").read_text())
    files = {
        name: TextFile(f"{where}/{name}", "\n".join(lines).encode())
        for name, lines in captured["files"].items()
    }
    pulls = {"wants": "Wants", "requires": "Requires"}
    pulled = tuple(
        (folder.rpartition(".")[0], pulls[folder.rpartition(".")[2]], name, f"{where}/{folder}/{name}")
        for folder, name in captured["pulled"]
    )
    return UnitFiles(files, captured["links"], pulled=pulled)


@pytest.mark.parametrize("where", ["/usr/lib/systemd/system", "/home/me/copied"])
def test_what_debian_13_installs_is_not_circular(where):
    """None of the distribution's units is in a cycle, read in their place or copied elsewhere."""
    catalogue, syntax = read_catalogue(debian(where))
    made = folder_graph(catalogue, ())
    assert len(catalogue.specs) > 200
    assert sum(edge.kind is EdgeKind.ORDER for edge in made.edges) > 500
    assert syntax == ()
    assert cycles(made) == ()


def test_a_wait_among_debians_units_is_found_through_their_orderings():
    """A unit before network-online.target that waits for a server after it, by way of Debian's own targets."""
    found = debian("/usr/lib/systemd/system")
    mine = {
        "gate.service": TextFile("gate.service", b"[Unit]\nBefore=network-pre.target\n" + ONESHOT.encode()),
        "server.service": TextFile("server.service", b"[Unit]\nAfter=network.target\n" + SIMPLE.encode()),
    }
    from eventd.waits.model_declared import parse_waits

    waits, _ = parse_waits(GATE.encode())
    catalogue, _ = read_catalogue(UnitFiles({**found.files, **mine}, found.links, pulled=found.pulled))
    (cycle,) = cycles(folder_graph(catalogue, waits))
    assert "unit:network-pre.target" in cycle.nodes


def test_drop_ins_are_read_in_the_order_of_their_names_and_reset_no_dependency():
    """A drop-in adds an ordering; an empty `After=` in a later one takes none away, as systemd.unit(5) says."""
    files = {
        "gate.service": ONESHOT,
        "server.service": SIMPLE,
        "server.service.d/20-order.conf": "[Unit]\nAfter=gate.service\n",
        "server.service.d/30-reset.conf": "[Unit]\nAfter=\n",
    }
    (cycle,) = circles(files, GATE)
    assert cycle.edges[-1].place == "units/server.service.d/20-order.conf:2"


def test_drop_ins_change_the_type():
    """`Type=` of a drop-in decides whether the start job lasts."""
    files = {"gate.service": ONESHOT, "server.service": "[Unit]\nAfter=gate.service\n" + SIMPLE}
    assert circles(files, GATE)
    files["gate.service.d/type.conf"] = "[Service]\nType=simple\n"
    assert circles(files, GATE) == ()


@pytest.mark.parametrize("folder", ["gate-.service.d", "service.d"])
def test_drop_ins_for_prefixes_and_types_apply(folder):
    """`gate-.service.d/` and `service.d/` are read for gate-one.service as well."""
    files = {"gate-one.service": SIMPLE, "server.service": "[Unit]\nAfter=gate-one.service\n" + SIMPLE}
    waits = GATE.replace("gate.service", "gate-one.service")
    assert circles(files, waits) == ()
    files[f"{folder}/type.conf"] = "[Service]\nType=oneshot\n"
    assert circles(files, waits)


def test_an_instance_is_its_template_with_its_name_filled_in():
    """`gate@blue.service` comes of gate@.service; %i in an ordering is the instance's."""
    files = {"gate@.service": ONESHOT, "app@.service": "[Unit]\nAfter=gate@%i.service\n" + SIMPLE}
    assert circles(files, wait("gate@blue.service", URL, "app@blue.service"))
    assert circles(files, wait("gate@blue.service", URL, "app@red.service")) == ()


def test_a_template_alone_is_no_unit():
    """Without an instance that anything names, a template starts nothing."""
    catalogue, _ = read_catalogue(units({"gate@.service": ONESHOT}))
    assert not any("gate" in name for _, name in catalogue.specs)


def test_an_alias_is_the_same_unit():
    """An ordering by a symlink's name, or by an `Alias=`, is an ordering of the unit it stands for."""
    files = {"gate.service": ONESHOT, "server.service": "[Unit]\nAfter=old.service\n" + SIMPLE}
    assert circles(files, GATE) == ()
    assert circles(files, GATE, links={"old.service": "gate.service"})
    files["gate.service"] += "[Install]\nAlias=old.service\n"
    assert circles(files, GATE)


def test_a_masked_unit_is_not_there():
    """What leads to /dev/null is never started, and nobody comes after it."""
    files = {
        "gate.service": ONESHOT,
        "between.service": "[Unit]\nAfter=gate.service\n" + ONESHOT,
        "server.service": "[Unit]\nAfter=between.service\n" + SIMPLE,
    }
    assert circles(files, GATE)
    assert circles(files, GATE, masked=frozenset({"between.service"})) == ()


def test_quadlet_files_become_their_units():
    """A container file is the service that podman's generator makes of it, with its own ordering rules."""
    files = {
        "gate.container": "[Unit]\nBefore=server.container\n[Container]\nImage=a\n",
        "server.container": "[Container]\nImage=b\nPublishPort=8080:80\n",
    }
    waits = wait("gate.service", "http://127.0.0.1:8080/")
    assert circles(files, waits) == ()  # conmon says READY as soon as the container runs
    files["gate.container"] += "Notify=healthy\n"
    assert circles(files, waits)


def test_quadlet_references_order():
    """A container comes after the pod, the volume and the network that it refers to."""
    files = {
        "shop.pod": "[Pod]\n[Service]\nExecStartPost=/usr/bin/wait-for http://127.0.0.1:8080/\n",
        "web.container": "[Container]\nImage=b\nPod=shop.pod\nPublishPort=8080:80\n",
    }
    (cycle,) = circles(files, wait("shop-pod.service", "http://127.0.0.1:8080/"))
    assert cycle.edges[-1].setting == "Pod=shop.pod"


def test_standard_targets_are_filled_in():
    """A folder that has not got systemd's own targets is ordered by them all the same."""
    files = {
        "gate.service": "[Unit]\nBefore=sysinit.target\nDefaultDependencies=no\n" + ONESHOT,
        "server.service": SIMPLE,
    }
    (cycle,) = circles(files, GATE)
    assert "as systemd implies" in cycle.edges[-1].sentence or "systemd implies" in cycle.edges[-2].sentence


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/", "-.mount"),
        ("/srv/photos", "srv-photos.mount"),
        ("/srv/my-disk", "srv-my\\x2ddisk.mount"),
        ("/.hidden/é", "\\x2ehidden-\\xc3\\xa9.mount"),
    ],
)
def test_paths_are_escaped_as_systemd_escape_does(path, unit):
    """The mount unit of a path (systemd-escape --path)."""
    assert mount_unit(path) == unit


def test_specifiers_of_the_name():
    """The parts of a unit's name in its own settings."""
    assert specify("%n %N %p %i %j %%", "a-b@c.service") == "a-b@c.service a-b@c a-b c b %"


# On the disk.


def test_a_folder_is_read_as_systemd_reads_it(tmp_path):
    """Files, drop-ins, `.wants` links, aliases and masks; what is no unit is left alone."""
    (tmp_path / "a.service").write_text(ONESHOT)
    (tmp_path / "README").write_text("not a unit")
    (tmp_path / "empty.service").touch()
    (tmp_path / "b.service").symlink_to("a.service")
    (tmp_path / "off.service").symlink_to(os.devnull)
    (tmp_path / "a.service.d").mkdir()
    (tmp_path / "a.service.d" / "x.conf").write_text("[Unit]\n")
    (tmp_path / "a.service.d" / "x.txt").write_text("[Unit]\n")
    (tmp_path / "multi-user.target.wants").mkdir()
    (tmp_path / "multi-user.target.wants" / "a.service").symlink_to("../a.service")
    (tmp_path / "waits.toml").write_text("")
    found = read_units([str(tmp_path)])
    assert set(found.files) == {"a.service"}
    assert found.links == {"b.service": "a.service"}
    assert found.masked == {"empty.service", "off.service"}
    assert list(found.drop_ins["a.service"]) == ["x.conf"]
    assert found.pulled[0][:3] == ("multi-user.target", "Wants", "a.service")
    assert read_waits([str(tmp_path)]) == ((str(tmp_path / "waits.toml"), b""),)


def test_a_link_to_a_file_elsewhere_is_that_file(tmp_path):
    """Units that are installed as links into a store are read through them."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "unit-a.service").write_text(ONESHOT)
    folder = tmp_path / "units"
    folder.mkdir()
    (folder / "a.service").symlink_to("../store/unit-a.service")
    found = read_units([str(folder)])
    assert found.files["a.service"].content == ONESHOT.encode()


def test_an_earlier_folder_goes_first(tmp_path):
    """A unit of the same name in a later folder is not read."""
    for name, text in (("etc", SIMPLE), ("usr", ONESHOT)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.service").write_text(text)
    found = read_units([str(tmp_path / "etc"), str(tmp_path / "usr")])
    assert found.files["a.service"].content == SIMPLE.encode()


def test_a_folder_that_is_not_there_is_told(tmp_path):
    """No folder is not the same as an empty one."""
    with pytest.raises(PermanentError, match="there is no folder"):
        read_units([str(tmp_path / "absent")])


def test_the_graph_of_an_empty_folder_is_empty():
    """Nothing waits for anything."""
    assert graph({}).edges == ()
