"""Scope: what a Quadlet file means: its unit (as the generator names it), its references, its paths."""

from __future__ import annotations

import pytest

from eventd.unitfiles.model import parse
from eventd.unitfiles.model_quadlet import KINDS, paths, references, service_name
from eventd.unitfiles.model_quadlet_keys import KEYS, LATER


@pytest.mark.parametrize(
    ("name", "text", "unit"),
    [
        ("web.container", "", "web.service"),
        ("web.kube", "", "web.service"),
        ("web.pod", "", "web-pod.service"),
        ("web.network", "", "web-network.service"),
        ("web.volume", "", "web-volume.service"),
        ("web.image", "", "web-image.service"),
        ("web.build", "", "web-build.service"),
        ("web.pod", "[Pod]\nServiceName=shop\n", "shop.service"),
        ("web@.container", "", "web@.service"),
        ("web@1.network", "", "web@1-network.service"),
        ("a.b.container", "", "a.b.service"),
    ],
)
def test_unit_names_are_the_generators(name: str, text: str, unit: str) -> None:
    """As podman 5.4.2 names them."""
    assert service_name(name, parse(text.encode(), name)) == unit


def test_references_are_found_in_all_their_forms() -> None:
    """With options after a colon, as a mount's source, reset by an empty assignment."""
    text = b"""[Container]
Image=app.build
Network=old.network
Network=
Network=front.network:ip=10.0.0.2
Network=host
Network=db.container
Volume=data.volume:/data:ro
Volume=/srv/x.volume:/x
Volume=./y.volume:/y
Mount=type=volume,src=more.volume,destination=/m
Mount=type=image,source=tool.image,destination=/t
Pod=shop.pod
"""
    assert [r.target for r in references("web.container", parse(text, "f"))] == [
        "app.build",
        "front.network",
        "db.container",
        "data.volume",
        "more.volume",
        "tool.image",
        "shop.pod",
    ]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "a.container",
            "[Container]\nEnvironmentFile=./x/../a.env\nEnvironmentFile=-b.env\n",
            ["a.env", "b.env"],
        ),
        (
            "a.container",
            "[Container]\nVolume=./c:/c\nVolume=named:/n\nVolume=/abs:/a\nVolume=.:/all\n",
            ["c", "."],
        ),
        ("a.container", "[Container]\nMount=type=bind,src=./m,dst=/m\nMount=type=bind,src=m,dst=/m\n", ["m"]),
        ("a.container", "[Container]\nVolume=%h/x:/x\nEnvironmentFile=./%n.env\n", []),
        (
            "a.kube",
            "[Kube]\nYaml=k/a.yaml\nConfigMap=c.yaml\nSetWorkingDirectory=yaml\n",
            ["k/a.yaml", "c.yaml", "k"],
        ),
        ("a.build", "[Build]\nFile=d/F\nSetWorkingDirectory=unit\n", ["d/F", "."]),
        ("a.build", "[Build]\nFile=d/F\nSetWorkingDirectory=file\n", ["d/F", "d"]),
        ("a.build", "[Build]\nFile=F\nSetWorkingDirectory=./ctx\n", ["ctx/F", "ctx"]),
        ("a.build", "[Build]\nFile=F\nSetWorkingDirectory=https://x/y.git\n", []),
        ("a.network", "[Network]\n", []),
    ],
)
def test_relative_paths_are_found(name: str, text: str, expected: list[str]) -> None:
    """Only relative paths of the host: no named volumes, no absolute paths, no specifiers, no addresses."""
    assert [use.path for use in paths(name, parse(text.encode(), name))] == expected


def test_the_key_tables_are_disjoint_and_complete() -> None:
    """Each kind has its keys, and no later key is among those of 5.4."""
    assert set(KEYS) == {kind.section for kind in KINDS.values()} | {"Quadlet"}
    assert all(not KEYS[section] & later for section, later in LATER.items())
    assert len(KEYS["Container"]) == 87
