"""Scope: eventd.health.source_podman_table and image_store, on entries as podman 5.4.2 writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import count

import anyio
import pytest

from eventd.health.source_podman_table import MOST, PodmanTable
from eventd.kernel.model.facts import FactKey
from eventd.platform.journal_follow import Entry
from eventd.platform.model_facts import Account, PlatformFact
from eventd.updates.model_events import UpdateEvent
from eventd.updates.model_facts import UpdateFact
from eventd.updates.model_images import Image, names
from eventd.updates.source_image_store import SPACING, ImageStoreSource
from eventd_simulators.virtual_time import virtual
from tests.unit.kernel.recorder import Recorder

UID = 1000
WEB = "localhost/busybox:1"
_numbers = count(1)


def entry(event: str, *, uid: int = UID, kind: str = "container", pid: str = "7", **fields: str) -> Entry:
    number = next(_numbers)
    given = {f"PODMAN_{key.upper()}": value for key, value in fields.items()}
    return Entry(
        f"c{number}",
        "boot",
        number,
        uid,
        {"PODMAN_EVENT": event, "PODMAN_TYPE": kind, "_PID": pid, **given},
        float(number),
    )


def box(event: str, name: str = "systemd-web", number: str = "a1", **fields: str) -> Entry:
    return entry(event, name=name, id=number, image=WEB, **fields)


def table(images: list[tuple[int, str, bool]] | None = None) -> PodmanTable:
    seen = [] if images is None else images
    made = PodmanTable(lambda uid, name, came: seen.append((uid, name, came)))
    assert made.keep(frozenset({UID})) == {UID}
    return made


def test_a_container_from_its_start_to_its_end() -> None:
    """Its id, its image and that image's id, its unit, its state and health, and since when."""
    seen = table()
    labels = json.dumps({"PODMAN_SYSTEMD_UNIT": "web.service"})
    assert seen.take(box("create", labels=labels))
    seen.take(entry("pull", kind="image", name=WEB, id="f00"))
    seen.take(box("init"))
    began = box("start")
    seen.take(began)
    (row,) = seen.containers(UID)
    assert (row.name, row.id, row.image, row.image_id) == ("systemd-web", "a1", WEB, "f00")
    assert (row.unit, row.state, row.health, row.since) == ("web.service", "running", "", began.wall)
    assert seen.take(box("health_status", health_status="healthy"))
    assert not seen.take(box("health_status", health_status="healthy")), "no news"
    assert seen.containers(UID)[0].health == "healthy"
    seen.take(box("died"))
    assert (seen.containers(UID)[0].state, seen.containers(UID)[0].health) == ("exited", "")
    assert not seen.take(box("remove", number="b2")), "another one of that name"
    seen.take(box("remove"))
    assert seen.containers(UID) == ()


def test_a_late_check_of_a_container_that_is_gone_says_nothing() -> None:
    """The name has been taken by another one since."""
    seen = table()
    seen.take(box("start", number="b2"))
    assert not seen.take(box("health_status", number="a1", health_status="unhealthy"))
    assert seen.containers(UID)[0].health == ""


def test_a_container_of_a_stack_is_told_by_its_labels() -> None:
    """The stack's unit is called as its project."""
    seen = table()
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "db"}
    seen.take(box("start", name="shop-db-1", labels=json.dumps(labels)))
    (row,) = seen.containers(UID)
    assert (row.unit, row.service) == ("shop.service", "db")


@pytest.mark.parametrize("labels", ["", "{", "[]", '{"PODMAN_SYSTEMD_UNIT": 7}', "[" * 5000])
def test_labels_are_the_users_and_may_be_anything(labels: str) -> None:
    """What cannot be understood is no label."""
    seen = table()
    seen.take(box("start", labels=labels))
    assert seen.containers(UID)[0].unit == ""


def test_what_a_user_logs_is_bounded_and_their_own() -> None:
    """However many containers and however long names; and an account that is not kept has none."""
    seen = table()
    for number in range(MOST * 3):
        seen.take(box("start", name=f"box{number}" + "x" * 5000, number=str(number)))
    assert len(seen.containers(UID)) == MOST
    assert all(len(row.name) <= 255 for row in seen.containers(UID))
    assert not seen.take(entry("start", uid=4711, name="web", id="a1"))
    assert seen.containers(4711) == ()


@pytest.mark.parametrize(
    ("reference", "full", "same"),
    [
        ("nginx", "docker.io/library/nginx:latest", True),
        ("docker.io/nginx:1", "docker.io/nginx:1", True),
        ("nginx:1", "docker.io/library/nginx:2", False),
        ("nginx", "docker.io/library/mynginx:latest", False),
        ("localhost:5000/a", "localhost:5000/a:latest", True),
    ],
)
def test_a_short_reference_is_known_by_its_full_name(reference: str, full: str, same: bool) -> None:
    """Podman's events have the full one."""
    assert names(reference, full) is same


class Store:
    """A store that has what the test says; counts who asks."""

    def __init__(self) -> None:
        self.has: set[str] = set()
        self.asked = 0

    async def inspect(self, _account: Account, references: Sequence[str]) -> Mapping[str, Image]:
        self.asked += 1
        return {each: Image("f" * 64) for each in references if each in self.has}


@virtual()
async def test_an_image_that_may_be_gone_is_asked_after() -> None:
    """The fact is false when the store says so, true when it is back, and nothing is asked but for an event."""
    emit, store = Recorder(), Store()
    key = FactKey(UpdateFact.IMAGE, WEB, "web")
    emit.facts.set(FactKey(PlatformFact.ACCOUNT, "web"), Account("web", UID, UID, "/home/web"))
    source = ImageStoreSource(emit, emit.facts, store)  # type: ignore[arg-type]
    source.want([key])
    seen = PodmanTable(source.happened)
    seen.keep(frozenset({UID}))
    async with anyio.create_task_group() as group:
        await group.start(source.run)
        seen.take(entry("pull", kind="image", name=WEB, id="f00"))
        await anyio.sleep(10)
        assert (store.asked, emit.seen) == (0, [])
        store.has = {WEB}
        seen.take(entry("untag", kind="image", name=WEB, id="f00"))
        await anyio.sleep(10)
        assert (store.asked, emit.seen) == (1, []), "another store has it as well"
        store.has = set()
        seen.take(entry("remove", kind="image", name=WEB, id="f00"))
        await anyio.sleep(10)
        assert emit.facts.get(key) is False
        for _ in range(1000):
            seen.take(entry("untag", kind="image", name=WEB, id="f00"))
            await anyio.sleep(0.01)
        assert store.asked <= 3 + 10 / SPACING, "as often as it likes"
        seen.take(entry("tag", kind="image", name=WEB, id="f00"))
        assert emit.facts.get(key) is True
        assert [each.kind for each in emit.seen] == [UpdateEvent.IMAGE_CHANGED] * 2
        source.want([])
        assert key not in emit.facts
        group.cancel_scope.cancel()
