"""Scope: which images a workload has and which of them can be updated; the timer that comes of a schedule."""

import pytest

from eventd.core.assemble import HostRules, assemble
from eventd.core.desired import Desired, FileRole, Tree, TreeFile, UnitRole, Workload
from eventd.core.images import ImageUse, Running, images_of, keep_tag, running_of, to_restart, updatable

ID1, ID2 = "1" * 64, "2" * 64


def tree(files: dict[str, str]) -> Desired:
    content = {path: TreeFile(path, text.encode()) for path, text in files.items()}
    return assemble(Tree("c" * 40, content), HostRules("h"))


def workload(**files: str) -> Workload:
    named = {f"workloads/w/{name.replace('__', '.')}": text for name, text in files.items()}
    desired = tree(named)
    assert not desired.refused, desired.refused
    return desired.workloads["w"]


@pytest.mark.parametrize(
    ("image", "more", "fixed"),
    [
        ("docker.io/library/caddy:2", "", ""),
        ("registry.example:5000/a/b", "", ""),
        (f"docker.io/library/caddy@sha256:{ID1}", "", "pinned"),
        ("localhost/mine:1", "", "local"),
        ("docker.io/library/caddy:2", "Pull=never\n", "never"),
    ],
)
def test_what_can_be_updated(image: str, more: str, fixed: str) -> None:
    """A digest pins, an image that is built here or never pulled stays."""
    found = workload(w__container=f"[Container]\nImage={image}\n{more}[Install]\nWantedBy=default.target\n")
    assert images_of(found) == (ImageUse("w.service", "w.service", image, fixed),)
    assert updatable(images_of(found)) == ((image,) if not fixed else ())


def test_an_image_quadlet_names_what_is_pulled() -> None:
    """`Image=base.image` stands for the image that that file pulls."""
    found = workload(
        w__container="[Container]\nImage=base.image\n[Install]\nWantedBy=default.target\n",
        base__image="[Image]\nImage=quay.io/team/base:1\n",
    )
    assert [use.reference for use in images_of(found)] == ["quay.io/team/base:1"]


def test_services_of_a_stack_are_restarted_by_its_unit() -> None:
    """Each service is a container of its own; an image with a variable is left to the stack."""
    found = workload(
        compose__yaml="services:\n  web:\n    image: quay.io/team/web:1\n  db:\n    image: quay.io/team/db:${TAG}\n"
    )
    assert set(images_of(found)) == {
        ImageUse("w.service", "web", "quay.io/team/web:1"),
        ImageUse("w.service", "db", "quay.io/team/db:${TAG}", "variable"),
    }


def test_only_what_runs_another_image_is_restarted() -> None:
    """What does not run is none of an update's business; a service is known by its name."""
    uses = (
        ImageUse("a.service", "a.service", "r/a"),
        ImageUse("b.service", "b.service", "r/b"),
        ImageUse("s.service", "web", "r/web"),
        ImageUse("s.service", "db", "r/db"),
    )
    running = (
        Running("a.service", "", ID1),
        Running("s.service", "web", ID1),
        Running("s.service", "db", ID1),
    )
    assert running_of(uses[2], running) == ID1
    assert running_of(uses[1], running) == ""
    assert to_restart(uses, running, {"r/a": ID2, "r/b": ID2, "r/web": ID1, "r/db": ID1}) == ("a.service",)
    assert to_restart(uses, running, {"r/db": ID2}) == ("s.service",)


def test_each_reference_has_a_tag_of_its_own_that_keeps_its_last_image() -> None:
    """One that podman accepts as a name."""
    assert keep_tag("r/a:1") != keep_tag("r/a:2")
    assert keep_tag("r/a:1").startswith("localhost/eventd-previous:")


CONTAINER = "[Container]\nImage=quay.io/a\n[Install]\nWantedBy=default.target\n"


def test_a_schedule_becomes_a_timer_of_the_workloads_own_manager() -> None:
    """Its service is only loaded, and asks for this workload; held, there is none."""
    found = workload(w__container=CONTAINER, workload__toml='[update]\nschedule = "Mon 04:00"\n')
    roles = {unit.name: unit.role for unit in found.units}
    assert roles["eventd-update.timer"] is UnitRole.RUNNING
    assert roles["eventd-update.service"] is UnitRole.ON_DEMAND
    files = {file.name: file for file in found.files}
    assert files["eventd-update.timer"].role is FileRole.COMPANION
    assert b"\nOnCalendar=Mon 04:00\n" in files["eventd-update.timer"].content
    assert b"eventctl update w --wait" in files["eventd-update.service"].content
    held = workload(w__container=CONTAINER, workload__toml='[update]\nschedule = "Mon 04:00"\nhold = true\n')
    assert "eventd-update.timer" not in {unit.name for unit in held.units}


def test_a_bad_schedule_refuses_the_workload_with_its_place() -> None:
    """At the push, not when the timer is started."""
    desired = tree(
        {
            "workloads/w/w.container": CONTAINER,
            "workloads/w/workload.toml": '[update]\nschedule = "sometimes"\n',
        }
    )
    (finding,) = desired.refused["w"]
    assert (finding.line, finding.key, finding.code) == (2, "update.schedule", "bad-value")
