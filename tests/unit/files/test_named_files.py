"""Files of the host that a workload names: which they are, and what a plan makes of their change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from eventd.desired.model import DesiredUnit, NamedFile, OnChange, Workload
from eventd.files.model_actions import PutFile
from eventd.files.model_named import HOME, MOST, expand
from eventd.gates.model import OPEN
from eventd.health.model_actions import Verify
from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import ActiveState, FileKind
from eventd.workloads.model_actions import RecordFiles, RestartUnit
from eventd.workloads.model_case import Case
from eventd.workloads.model_facts import NamedState, WorkloadFact
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Records, StartedWith
from eventd.workloads.plan import plan
from eventd.workloads.plan_file_problem import file_problem
from eventd.workloads.plan_units import is_renewed
from eventd_policies.compose_provider import provider
from tests.unit.desired.trees import HOST, container, desired, in_web
from tests.unit.workloads.test_plan import CONTEXT, a_workload, converged

PATH = "/etc/web.env"


def named(files: dict[str, str], unit: str = "web.service") -> dict[str, NamedFile]:
    """Return what a unit of the workload `web` names, by path."""
    result = in_web(files)
    assert result.refused == {}, result.refused
    (found,) = [each for each in result.workloads["web"].units if each.name == unit]
    return {each.path: each for each in found.named if each.path != HOME}


def test_a_container_names_what_is_read_or_mounted_at_its_start() -> None:
    """With file and line; of what it may write itself, the content is its own."""
    found = named(
        {
            "web.container": container(
                "EnvironmentFile=/etc/web.env",
                "EnvironmentFile=conf/ours.env",
                "Volume=/etc/tls/key.pem:/key.pem:ro,Z",
                "Volume=/srv/data:/data",
                "Volume=named:/cache",
                "Mount=type=bind,source=/etc/site.conf,target=/site.conf,readonly",
                "Volume=%h/own.conf:/own.conf:ro",
                "Volume=%t/podman/podman.sock:/sock",
                "Volume=/dev/dri:/dev/dri",
                "",
                "[Service]",
                "EnvironmentFile=-/etc/default/web",
                "LoadCredential=token:/etc/credstore/web.token",
            ),
            "conf/ours.env": "A=1\n",
        }
    )
    assert set(found) == {
        "/etc/web.env",
        "/etc/tls/key.pem",
        "/srv/data",
        "/etc/site.conf",
        "%h/own.conf",
        "/etc/default/web",
        "/etc/credstore/web.token",
    }
    env = found["/etc/web.env"]
    assert (env.file, env.line, env.key) == ("workloads/web/web.container", 3, "EnvironmentFile")
    assert {path for path, each in found.items() if not each.required} == {"/etc/default/web"}
    assert {path for path, each in found.items() if not each.content} == {"/srv/data"}


def test_a_stack_names_env_files_secrets_and_what_is_mounted_read_only() -> None:
    """What the provider would make an empty folder for is not needed; and `[compose] env_files` counts."""
    compose = (
        "services:\n  app:\n    image: x\n    env_file:\n      - /etc/app.env\n"
        "      - path: /etc/more.env\n        required: false\n"
        "    volumes: ['/etc/app.conf:/c:ro', '/srv/app:/data']\n"
        "secrets:\n  token:\n    file: /etc/app.token\n"
    )
    found = named({"compose.yaml": compose, "workload.toml": '[compose]\nenv_files = ["/etc/stack.env"]\n'})
    assert {path: (each.required, each.content) for path, each in found.items()} == {
        "/etc/app.env": (True, True),
        "/etc/more.env": (False, True),
        "/etc/app.conf": (True, True),
        "/srv/app": (False, False),
        "/etc/app.token": (True, True),
        "/etc/stack.env": (True, True),
        "/usr/bin/docker-compose": (True, False),
    }
    assert found["/etc/app.token"].line == 11


def test_files_of_the_system_restart_nothing_where_they_are_mounted() -> None:
    """`/etc/passwd` changes with each account that eventd makes; as an env file it would be read like any other."""
    for path in ("/etc/passwd", "/etc/localtime", "/etc/ssl/certs/ca-certificates.crt", "/usr/share/x"):
        assert not named({"web.container": container(f"Volume={path}:{path}:ro")})[path].content
    assert named({"web.container": container("Volume=/etc/passwords:/p:ro")})["/etc/passwords"].content


def test_one_repository_cannot_have_any_number_of_files_watched() -> None:
    """There is a bound for each workload."""
    lines = [f"EnvironmentFile=/etc/{number}.env" for number in range(MOST * 2)]
    assert len(named({"web.container": container(*lines)})) == MOST


def test_specifiers_are_those_of_the_account() -> None:
    """`%h`, `%u`, `%U`, and nothing that eventd does not know."""
    assert expand("%h/a%%b-%u-%U", "web", 1001, "/home/web") == "/home/web/a%b-web-1001"
    assert named({"web.container": container("EnvironmentFile=/etc/%i.env", "EnvironmentFile=%E/x")}) == {}


def state(digest: str, *, noticed: int = 100, kind: FileKind | None = FileKind.REGULAR) -> NamedState:
    return NamedState(PATH, kind, digest, noticed=noticed)


def running(
    now: NamedState | None, base: str | None, *, began: int = 50, **file: bool
) -> tuple[Workload, Observed, Records]:
    """Return a workload that runs with one named file, as it is now and as it was at the start."""
    workload = a_workload()
    unit: DesiredUnit = replace(
        workload.units[0], named=(NamedFile(PATH, "web.container", 3, "EnvironmentFile", **file),)
    )
    workload = replace(workload, units=(unit,))
    seen, records = converged(workload)
    units = {"web.service": replace(seen.units["web.service"], began=began)}
    seen = replace(seen, units=units, named={} if now is None else {PATH: now})
    if base is not None:
        records.started = {"web": {"web.service": StartedWith({PATH: base})}}
    return workload, seen, records


def test_another_content_restarts_the_unit_and_verifies_it() -> None:
    """The reason names the file; the same content, one that is not known, and an empty file do nothing."""
    workload, seen, records = running(state("k:two"), "k:one")
    restart, verify = plan(workload, seen, records, CONTEXT)
    assert isinstance(restart, RestartUnit)
    assert restart.named == (PATH,)
    assert restart.why == "/etc/web.env changed since its last start"
    assert isinstance(verify, Verify)
    for now in (state("k:one"), None, state(""), state("", kind=None)):
        assert plan(*running(now, "k:one"), CONTEXT) == ()


def test_what_it_runs_with_is_recorded_where_nobody_knows() -> None:
    """A unit that ran before eventd looked, and one that somebody has started since the change, is not restarted."""
    (action,) = plan(*running(state("k:one"), None), CONTEXT)
    assert action == RecordFiles("web", "web.service", ((PATH, "k:one"),), action.why)
    (action,) = plan(*running(state("k:two", noticed=100), "k:one", began=200), CONTEXT)
    assert isinstance(action, RecordFiles)
    assert action.files == ((PATH, "k:two"),)


def test_a_key_that_was_lost_restarts_nothing() -> None:
    """Digests under two keys cannot be compared."""
    (action,) = plan(*running(state("new:one"), "old:one"), CONTEXT)
    assert isinstance(action, RecordFiles)


def test_a_file_that_was_not_there_at_the_start_is_a_change_when_it_comes() -> None:
    """An optional one, or one whose lack the start survived."""
    action, _ = plan(*running(state("k:one"), "-", required=False), CONTEXT)
    assert isinstance(action, RestartUnit)


def test_report_restarts_nothing_and_says_so() -> None:
    """Until somebody asks for a restart."""
    workload, seen, records = running(state("k:two"), "k:one")
    workload = replace(workload, options=replace(workload.options, on_change=OnChange.REPORT))
    assert plan(workload, seen, records, CONTEXT) == ()
    trouble = file_problem(workload, seen, records)
    assert trouble is not None
    assert (trouble.reason, trouble.hint.split(";")[0]) == ("restart-pending", "eventctl restart web")
    action, _ = plan(workload, seen, records, replace(CONTEXT, restart=True))
    assert isinstance(action, RestartUnit)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (state("", kind=None), "file-missing"),
        (NamedState(PATH, None, problem="Permission denied"), "file-unreadable"),
        (NamedState(PATH, FileKind.REGULAR, "k:x", "Permission denied"), "file-unreadable"),
        (state("", kind=FileKind.DIRECTORY), "file-missing"),
        (state("", kind=FileKind.OTHER), "file-missing"),
        (state("k:one"), None),
        (None, None),
    ],
)
def test_what_would_keep_it_from_starting_again_is_told(now: NamedState | None, reason: str | None) -> None:
    """With the line that needs it; it is not restarted into that, and what is not known is no trouble."""
    workload, seen, records = running(now, "k:one")
    assert not any(isinstance(action, RestartUnit) for action in plan(workload, seen, records, CONTEXT))
    trouble = file_problem(workload, seen, records)
    assert (trouble.reason if trouble else None) == reason
    if trouble is not None:
        assert "web.container, line 3" in trouble.message
    assert file_problem(*running(now, "k:one", required=False)) is None


def test_a_unit_that_systemd_gave_up_is_tried_again_when_its_file_comes() -> None:
    """Not for a file that was there when it failed."""
    workload, seen, records = running(state("k:one", noticed=300), "-")
    (unit,) = workload.units
    failed = replace(seen.units[unit.name], active=ActiveState.FAILED, result="start-limit-hit", since=200)
    assert is_renewed("web", unit, failed, seen, records)
    assert not is_renewed("web", unit, replace(failed, since=400), seen, records)


def test_a_provider_that_is_not_there_holds_what_a_stack_has_written() -> None:
    """Whatever is missing of it; not for a workload without a stack, and not before anybody has looked."""
    stack = in_web({"compose.yaml": "services:\n  app:\n    image: x\n"}).workloads["web"]
    plain = in_web({"web.container": container()}).workloads["web"]
    facts, key = Facts(), FactKey(WorkloadFact.NAMED, "/usr/bin/docker-compose")
    judge = provider("/usr/bin/docker-compose")

    def verdict(workload: Workload) -> str:
        action = PutFile("web", workload.files[0], "")
        found = judge(Case(action, workload, converged(a_workload())[0], Records(), facts, OPEN))
        return getattr(found, "reason", "")

    assert verdict(stack) == ""
    for kind, runs, reason in (
        (None, False, "no-compose-provider"),
        (FileKind.REGULAR, False, "no-compose-provider"),
        (FileKind.DIRECTORY, True, "no-compose-provider"),
        (FileKind.REGULAR, True, ""),
    ):
        facts.set(key, NamedState(key.name, kind, executable=runs))
        assert verdict(stack) == reason
        assert verdict(plain) == ""


def test_what_decides_how_containers_are_made_renews_a_stack() -> None:
    """Another provider, another project; not what is written as it is by default."""
    files = {"workloads/web/compose.yaml": "services:\n  app:\n    image: x\n"}
    other = {**files, "workloads/web/workload.toml": '[compose]\nproject = "old"\n'}
    made = [
        desired(files).workloads["web"].units[0],
        desired(other).workloads["web"].units[0],
        desired(files, replace(HOST, compose_provider="/usr/bin/podman-compose")).workloads["web"].units[0],
    ]
    assert len({unit.digest for unit in made}) == 3
    text = next(f for f in desired(other).workloads["web"].files if f.name == "web.service").content.decode()
    assert "--project old --unit web.service" in text
