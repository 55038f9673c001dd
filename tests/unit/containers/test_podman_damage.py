"""Scope: eventd.containers.model_podman_damage on what podman 5.4.2 said of stores that were overwritten."""

from __future__ import annotations

import pytest

from eventd.containers.model_podman_damage import Part, damage

HOME = "/home/web"
ROOT = f"{HOME}/.local/share/containers/storage"
SAID = {
    "database": ("Error: beginning transaction: file is not a database", Part.DATABASE, "db.sql"),
    "malformed": ("Error: database disk image is malformed", Part.DATABASE, "db.sql"),
    "containers": (
        f'Error: configure storage: loading "{ROOT}/overlay-containers/containers.json": []*storage.Container: decode'
        " slice: expect [ or n, but found {, error found in #1 byte of ...|{broken",
        Part.CONTAINERS,
        "overlay-containers/containers.json",
    ),
    "volatile": (
        f'Error: configure storage: loading "{ROOT}/overlay-containers/volatile-containers.json": decode slice',
        Part.CONTAINERS,
        "overlay-containers/volatile-containers.json",
    ),
    "network": (
        f'time="2026-11-28T18:59:55Z" level=warning msg="Error reading network config file'
        f' \\"{ROOT}/networks/systemd-n.json\\": invalid character"',
        Part.NETWORK,
        "networks/systemd-n.json",
    ),
    "images": (
        f'Error: configure storage: loading "{ROOT}/overlay-images/images.json": decode slice',
        Part.IMAGES,
        "overlay-images/images.json",
    ),
}


@pytest.mark.parametrize("kind", SAID)
def test_podmans_sentence_names_the_part_and_its_file(kind: str) -> None:
    """And what goes and stays is said wherever a reset is offered."""
    line, part, name = SAID[kind]
    found = damage(f"Starting web.service...\n{line}\nweb.service: Failed", HOME)
    assert found is not None
    assert (found.part, found.path) == (part, f"{ROOT}/{name}")
    assert found.can_be_reset is (part is not Part.IMAGES)
    assert bool(found.stays) is found.can_be_reset
    assert found.title
    assert len(found.said) <= 200


@pytest.mark.parametrize(
    "line",
    [
        "Error: localhost/web:1: image not known",
        'Error: configure storage: loading "/etc/passwd": decode slice',
        f'Error: configure storage: loading "{ROOT}/overlay-containers/../../../.bashrc.json": decode slice',
        f'Error: configure storage: loading "{ROOT}/volumes/data/_data/containers.json": decode slice',
        'Error: configure storage: loading "/home/other/.local/share/containers/storage/networks/n.json": decode slice',
        f'msg="Error reading network config file \\"{ROOT}/networks/../../x.json\\": invalid"',
        "",
    ],
)
def test_nothing_else_is_a_damage(line: str) -> None:
    """What a workload prints may name any path: only podman's own files below its own home count."""
    assert damage(line, HOME) is None
