"""Scope: eventd.containers.model: what the status says of containers, with and without podman's word."""

from __future__ import annotations

import pytest

from eventd.containers.model import ObservedContainer, shown
from eventd.desired.model import Workload
from eventd.desired.model_assembly import HostRules, assemble
from eventd.platform.model_facts import ActiveState, LoadState, UnitState
from tests.unit.desired.trees import tree

WEB = ObservedContainer(
    "systemd-web", "a1", "localhost/web:1", "f00", "web.service", "", "running", "healthy", 12.0
)


def workload() -> Workload:
    text = "[Container]\nImage=localhost/web:1\n[Install]\nWantedBy=default.target\n"
    result = assemble(tree({"workloads/web/web.container": text}), HostRules("alpha"))
    return result.workloads["web"]


def up(active: ActiveState = ActiveState.ACTIVE) -> dict[str, UnitState]:
    return {"web.service": UnitState("web.service", LoadState.LOADED, active)}


def test_a_container_is_shown_with_what_its_image_is() -> None:
    """By podman's events; its digest where that is known of exactly this image."""
    (row,) = shown(workload(), [WEB], up(), {"f00": "localhost/web@sha256:1"}, {})
    assert (row.name, row.unit, row.id, row.image, row.image_id) == (
        "systemd-web",
        "web.service",
        "a1",
        "localhost/web:1",
        "f00",
    )
    assert (row.digest, row.state, row.health, row.since) == (
        "localhost/web@sha256:1",
        "running",
        "healthy",
        12.0,
    )
    assert shown(workload(), [WEB], up(), {"bad": "localhost/web@sha256:2"}, {})[0].digest == ""


@pytest.mark.parametrize(
    ("active", "state"),
    [
        (ActiveState.FAILED, "exited"),
        (ActiveState.INACTIVE, "exited"),
        (ActiveState.DEACTIVATING, "stopping"),
    ],
)
def test_a_unit_that_is_down_has_no_container_that_runs(active: ActiveState, state: str) -> None:
    """Whatever was heard last of one: a journal that lost its end is not believed."""
    (row,) = shown(workload(), [WEB], up(active), {}, {"systemd-web": "healthy"})
    assert (row.state, row.id, row.health) == (state, "", "")


def test_a_container_that_nothing_was_heard_of_is_told_by_its_unit() -> None:
    """Podman's events may go to a file."""
    (row,) = shown(workload(), [], up(), {}, {})
    assert (row.name, row.state, row.id) == ("systemd-web", "running", "")


def test_other_containers_of_the_account_are_shown_too() -> None:
    """Of a stack, of a kube file, or started by hand."""
    other = ObservedContainer("shop-db-1", "b2", "db", "", "shop.service", "db", "running", "", 3.0)
    rows = shown(workload(), [other, WEB], up(), {}, {})
    assert [(row.name, row.unit, row.service) for row in rows] == [
        ("systemd-web", "web.service", ""),
        ("shop-db-1", "shop.service", "db"),
    ]
