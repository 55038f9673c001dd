"""A compose stack becomes one user service of eventd's own."""

from __future__ import annotations

from eventd.desired.model import DesiredUnit, FileRole, UnitRole, Workload
from eventd.workloads.model_layout import Layout
from tests.unit.desired.trees import in_web

STACK = "services:\n  app:\n    image: docker.io/library/busybox:1.36\n"


def stack(**files: str) -> Workload:
    """Return the workload `web` of a compose file and `files` (with `__` for a dot)."""
    others = {name.replace("__", "."): text for name, text in files.items()}
    result = in_web({"compose.yaml": STACK} | others)
    assert result.refused == {}, result.refused
    return result.workloads["web"]


def service(workload: Workload) -> DesiredUnit:
    (unit,) = [unit for unit in workload.units if unit.name == "web.service"]
    return unit


def text_of(workload: Workload) -> str:
    (file,) = [file for file in workload.files if file.role is FileRole.COMPANION]
    return file.content.decode()


def test_the_stack_is_one_running_unit_that_eventd_wrote() -> None:
    """The service is wanted running, and comes from the companions' folder."""
    workload = stack(site__conf="x")
    unit = service(workload)
    assert (unit.role, unit.file, unit.file_role) == (UnitRole.RUNNING, "web.service", FileRole.COMPANION)
    assert [f.name for f in workload.files if f.role is FileRole.STACK] == ["compose.yaml", "site.conf"]
    assert "--file /etc/eventd/stacks/%U/compose.yaml" in text_of(workload)
    assert "WantedBy=default.target" in text_of(workload)


def test_the_files_of_a_stack_have_a_folder_of_their_own() -> None:
    """Podman's generator never sees them."""
    layout = Layout()
    (file, *_) = [file for file in stack().files if file.role is FileRole.STACK]
    assert layout.path(file, 1000) == "/etc/eventd/stacks/1000/compose.yaml"
    assert layout.uid_of("/etc/eventd/stacks/1000/compose.yaml") == 1000
    assert "/etc/eventd/stacks/1000" in layout.folders(1000)


def test_any_file_of_the_stack_renews_its_unit() -> None:
    """A change beside the compose file is a change of the stack."""
    assert service(stack(site__conf="x")).digest != service(stack(site__conf="y")).digest


def test_what_eventd_writes_around_it_does_not() -> None:
    """A timeout changes the unit's text, and restarts nothing."""
    plain, patient = stack(), stack(workload__toml='[compose]\ntimeout = "5min"\n')
    assert text_of(plain) != text_of(patient)
    assert service(plain).digest == service(patient).digest


def test_a_gate_takes_the_stack_out_of_the_boot() -> None:
    """Without [Install] a lingering manager does not start it before the gate is looked at."""
    workload = stack(workload__toml='requires = "file:/run/ready"\n')
    assert "[Install]" not in text_of(workload)
    assert service(workload).role is UnitRole.RUNNING


def test_env_files_and_the_override_are_passed_on() -> None:
    """In the order in which compose merges them."""
    workload = stack(
        compose__override__yaml="services:\n  app:\n    image: b:1\n",
        workload__toml='[compose]\nenv_files = ["/run/secrets/web.env"]\ntimeout = "30s"\n',
    )
    text = text_of(workload)
    folder = "/etc/eventd/stacks/%U"
    assert f"--file {folder}/compose.yaml --file {folder}/compose.override.yaml" in text
    assert "--env-file /run/secrets/web.env" in text
    assert "--deadline 30" in text


def test_timers_and_drop_ins_go_with_a_stack() -> None:
    """Companions are companions, whatever runs the containers."""
    result = in_web(
        {
            "compose.yaml": STACK,
            "job.service": "[Service]\nExecStart=/bin/true\n",
            "job.timer": "[Timer]\nOnCalendar=daily\n",
            "web.service.d/10-more.conf": "[Service]\nNice=5\n",
        }
    )
    assert result.refused == {}
    roles = {unit.name: unit.role for unit in result.workloads["web"].units}
    assert roles == {
        "web.service": UnitRole.RUNNING,
        "job.timer": UnitRole.RUNNING,
        "job.service": UnitRole.ON_DEMAND,
    }
