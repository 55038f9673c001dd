"""Scope: which images a workload has and which of them can be updated; the timer that comes of a schedule."""

import pytest

from eventd.desired.model import Desired, FileRole, Tree, TreeFile, UnitRole, Workload
from eventd.desired.model_assembly import HostRules, assemble
from eventd.updates.model_images import (
    ImageUse,
    Running,
    as_compose_has_it,
    images_of,
    keep_tag,
    restorable,
    running_of,
    to_restart,
    updatable,
    without_containers,
)

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
        ("docker.io/library/caddy:2", "Pull=newer\n", "each start"),
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


def test_what_has_no_certain_name_is_not_remembered_by_it() -> None:
    """Podman would refuse to look such a name up, and with it all the others."""
    uses = (
        ImageUse("w.service", "a", "r/a"),
        ImageUse("w.service", "b", "r/b:${TAG}", "variable"),
        ImageUse("w.service", "c", "r/c@sha256:1", "pinned"),
        ImageUse("w.service", "d", "localhost/d", "local"),
    )
    assert [use.container for use in restorable(uses)] == ["a", "d"]


@pytest.mark.parametrize(
    ("policy", "fixed"),
    [
        ("missing", ""),
        ("never", "never"),
        ("build", "never"),
        ("always", "each start"),
        ("every_12h", "each start"),
    ],
)
def test_what_a_stack_pulls_by_itself_is_left_to_it(policy: str, fixed: str) -> None:
    """A start that pulls would bring the bad image back after each rollback."""
    found = workload(compose__yaml=f"services: {{web: {{image: quay.io/web, pull_policy: {policy}}}}}\n")
    assert [use.fixed for use in images_of(found)] == [fixed]


def test_an_override_file_has_the_last_word_on_an_image() -> None:
    """As the provider is given both; what it does not name stays."""
    files = {
        "workloads/w/compose.yaml": "services: {web: {image: quay.io/web:1}, db: {image: quay.io/db:1}}\n",
        "workloads/w/compose.override.yaml": "services: {web: {image: quay.io/web:2}}\n",
    }
    found = images_of(tree(files).workloads["w"])
    assert {use.container: use.reference for use in found} == {"web": "quay.io/web:2", "db": "quay.io/db:1"}


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("caddy", "docker.io/library/caddy"),
        ("caddy:2", "docker.io/library/caddy:2"),
        ("team/app", "docker.io/team/app"),
        ("localhost/mine:1", "localhost/mine:1"),
        ("host:5000/mine", "host:5000/mine"),
        ("quay.io/a/b@sha256:1", "quay.io/a/b@sha256:1"),
        ("${IMAGE:-caddy}", "${IMAGE:-caddy}"),
    ],
)
def test_short_names_of_a_stack_are_docker_hubs(written: str, full: str) -> None:
    """The command line of podman would complete them in another way than its socket does."""
    assert as_compose_has_it(written) == full


def test_each_container_of_a_service_counts() -> None:
    """One of three that runs another image is enough for a restart."""
    use = ImageUse("s.service", "web", "r/web")
    running = [Running("s.service", "web", image) for image in (ID1, ID1, ID2)]
    assert to_restart((use,), running, {"r/web": ID1}) == ("s.service",)
    assert to_restart((use,), running[:2], {"r/web": ID1}) == ()


def test_a_service_that_has_ended_is_done_again_with_its_new_image() -> None:
    """A migration, say; or a container that the old image could not keep up."""
    uses = (ImageUse("s.service", "web", "r/web"), ImageUse("s.service", "migrate", "r/migrate"))
    running = (Running("s.service", "web", ID1),)
    assert without_containers(uses, running, ("r/migrate",)) == ("s.service",)
    assert without_containers(uses, running, ("r/web",)) == ()


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
