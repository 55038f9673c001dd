"""Scope: from a tree to the desired state: layouts, roles, order, digests, drop-ins, what is never lost."""

# ruff: noqa: E501  the tables read better with a case a line

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventd.desired.adapter_local_tree import read_local_tree
from eventd.desired.model import Desired, DesiredUnit, FileRole, UnitRole, Workload, WorkloadOptions
from eventd.desired.model_assembly import Cache, HostRules, assemble, explain_files
from eventd.kernel.model.diagnostics import Severity
from eventd.kernel.model.located import Located
from tests.unit.desired.trees import HOST, container, desired, in_web, tree

OK = container()
REPOSITORIES = Path(__file__).parents[2] / "fixtures/repositories"


def units(result: Desired, name: str = "web") -> dict[str, DesiredUnit]:
    assert not result.refused, result.refused
    return {unit.name: unit for unit in result.workloads[name].units}


def codes(result: Desired) -> set[str]:
    return {finding.code for finding in result.diagnostics}


def refused(result: Desired) -> dict[str, set[str]]:
    return {name: {f.code for f in found} for name, found in result.refused.items()}


def content(workload: Workload, name: str) -> str:
    return next(file.content for file in workload.files if file.name == name).decode()


# --- layouts


def test_the_sample_repository() -> None:
    """The documented layout, as a whole: files by role, units in order, options, overrides, exclusion."""
    result = assemble(read_local_tree(REPOSITORIES / "sample"), HostRules("alpha"))
    assert (result.refused, result.diagnostics, result.partial) == ({}, (), False)
    assert list(result.workloads) == ["shop", "tools", "web"]
    web = result.workloads["web"]
    assert [unit.name for unit in web.units] == [
        "data-volume.service",
        "front-network.service",
        "web.service",
    ]
    assert web.units[2].notify_healthy
    assert web.units[2].after == ("data-volume.service", "front-network.service")
    assert [(f.role.value, f.name) for f in web.files] == [
        ("data", "conf/Caddyfile"),
        ("quadlet", "data.volume"),
        ("quadlet", "data.volume.d/50-eventd.conf"),
        ("quadlet", "front.network"),
        ("quadlet", "front.network.d/50-eventd.conf"),
        ("quadlet", "web.container"),
        ("quadlet", "web.container.d/50-eventd.conf"),
    ]
    assert web.options.deadline == 180.0
    assert web.options.requires == (Located("unit:network-online.target", "workloads/web/workload.toml", 1),)
    assert "AddCapability=NET_ADMIN" in content(result.workloads["tools"], "tool.container")
    shop = [(unit.name, unit.role.value, unit.after) for unit in result.workloads["shop"].units]
    assert shop == [
        ("shop-pod.service", "running", ()),
        ("store.service", "running", ("shop-pod.service",)),
        ("front.service", "running", ("shop-pod.service", "store.service")),
    ]


def test_the_repository_of_quadlet_deploy() -> None:
    """Its layout and its transforms, unchanged: the spec wins, prepends come first, sections are added."""
    result = assemble(read_local_tree(REPOSITORIES / "quadlet-deploy"), HostRules("alpha"))
    assert result.refused == {}
    assert {name: w.origin for name, w in result.workloads.items()} == {
        "clock": "plain/clock.container",
        "echo": "echo.container",
        "whoami": "tailscale/whoami.container",
    }
    assert (
        content(result.workloads["whoami"], "whoami.container")
        == """; the spec wins over the transform
[Container]
ContainerName=whoami
Image=docker.io/traefik/whoami:v1.10
Volume=%t/ts:/run/ts
Volume=/srv/whoami:/srv
Network=pasta

[Service]
ExecStartPre=/usr/bin/mkdir -p %t/ts
ExecStartPre=/usr/local/bin/mint-key \\
  # written by the mint
  --out %t/ts/env
# wait for the disk
ExecStartPre=/usr/bin/test -d /srv/whoami
Restart=on-failure
RestartSec=10

[Unit]
After=network-online.target
"""
    )


def test_without_a_transform_a_file_is_installed_byte_for_byte() -> None:
    """Comments, order and odd spacing are the operator's."""
    text = "# c\n\n[Container]\n  Image = docker.io/x/y:1  \n;d\nExec=a \\\n   b"
    assert content(in_web({"a.container": text}).workloads["web"], "a.container") == text


def test_both_layouts_stand_side_by_side() -> None:
    """A `workloads` folder does not hide the root level."""
    result = desired({"workloads/web/a.container": OK, "db.container": OK})
    assert list(result.workloads) == ["db", "web"]


def test_other_folders_are_ignored() -> None:
    """Without anything that looks like a unit or a stack in them, or hidden, they are none of eventd's business."""
    result = desired(
        {
            "docs/x.md": "",
            ".github/x.container": OK,
            "README": "",
            "a.container": OK,
        }
    )
    assert list(result.workloads) == ["a"]
    assert result.diagnostics == ()


def test_an_unknown_transform_folder_fails_the_run_and_leaves_its_workloads_alone() -> None:
    """It is an error of the repository, and of each workload in it; the others are accepted."""
    result = desired(
        {"tails/a.container": OK, "tails/b.container": OK, "transforms/tail.container": "", "c.container": OK}
    )
    assert list(result.workloads) == ["c"]
    assert refused(result) == {"a": {"unknown-transform"}, "b": {"unknown-transform"}}
    (finding,) = result.diagnostics
    assert (finding.code, finding.severity, finding.file) == ("unknown-transform", Severity.ERROR, "tails")
    assert "did you mean tail?" in finding.hint
    assert ".transformless" in finding.hint


@pytest.mark.parametrize("how", ["marker", "host"])
def test_a_folder_can_be_marked_as_transform_less(how: str) -> None:
    """In the repository, or by the host."""
    files = {"plain/a.container": OK} | ({"plain/.transformless": ""} if how == "marker" else {})
    host = replace(HOST, transformless=frozenset({"plain"})) if how == "host" else HOST
    result = desired(files, host)
    assert list(result.workloads) == ["a"]
    assert result.diagnostics == ()


def test_the_hosts_transform_wins_over_the_repositorys() -> None:
    """The host's folder is looked into first."""
    files = {"ts/a.container": OK, "transforms/ts.container": "[Container]\nExec=repository\n"}
    host = replace(HOST, transforms={"ts.container": b"[Container]\nExec=host\n"})
    assert "Exec=repository" in content(desired(files).workloads["a"], "a.container")
    assert "Exec=host" in content(desired(files, host).workloads["a"], "a.container")


def test_a_mistake_in_a_transform_is_told_at_its_place() -> None:
    """The workload that uses it is refused; file and line are the transform's."""
    files = {"ts/a.container": OK, "transforms/ts.container": "[Container]\n+Volumes=/a:/b\n"}
    (finding,) = desired(files).refused["a"]
    assert (finding.code, finding.file, finding.line) == ("unknown-key", "transforms/ts.container", 2)
    files["transforms/ts.container"] = "[Container]\nhello\n"
    (finding,) = desired(files).refused["a"]
    assert (finding.code, finding.file, finding.line) == ("invalid-line", "transforms/ts.container", 2)


def test_container_name_has_to_be_the_stem_in_quadlet_deploys_layout() -> None:
    """There, the account, the file and the container have one name."""
    assert refused(desired({"a.container": container("ContainerName=b")})) == {"a": {"container-name"}}
    assert list(desired({"a.container": container("ContainerName=%N")}).workloads) == ["a"]


# --- names


def test_one_name_twice_refuses_it() -> None:
    """Neither is taken over the other."""
    result = desired({"a.container": OK, "workloads/a/a.container": OK, "b.container": OK})
    assert refused(result) == {"a": {"duplicate-workload"}}
    assert list(result.workloads) == ["b"]


@pytest.mark.parametrize(
    ("name", "code"),
    [("Web", "bad-name"), ("root", "reserved-name"), ("alice", "protected-name"), ("a" * 33, "bad-name")],
)
def test_names_follow_the_rules_of_linux_users(name: str, code: str) -> None:
    """In both layouts."""
    assert refused(desired({f"workloads/{name}/a.container": OK})) == {name: {code}}
    assert refused(desired({f"{name}.container": OK})) == {name: {code}}


def test_a_distributions_account_is_a_warning() -> None:
    """Some hosts have it, some have not."""
    result = desired({"proxy.container": OK})
    assert list(result.workloads) == ["proxy"]
    assert codes(result) == {"distribution-account"}


# --- what cannot be read


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("workloads/web", "web"),
        ("workloads/web/a.container", "web"),
        ("workloads/web/conf/x", "web"),
        ("web.container", "web"),
        ("ts/web.container", "web"),
    ],
)
def test_a_symlink_in_a_workload_refuses_it(path: str, name: str) -> None:
    """It stays in the desired state as refused, and so on the host as it is."""
    files = {"workloads/web/b.container": OK} if path.startswith("workloads/web/") else {}
    result = desired(files | {"ts/.transformless": ""}, refused={path: "symlink"})
    assert "refused-entry" in refused(result)[name]
    assert not result.partial


@pytest.mark.parametrize("path", ["workloads", "tailscale"])
def test_where_workloads_may_have_been_nothing_may_be_removed(path: str) -> None:
    """A symlink or submodule in place of a folder makes the desired state partial."""
    result = desired({"a.container": OK}, refused={path: "symlink"})
    assert result.partial
    assert [d.file for d in result.diagnostics] == [path]


@pytest.mark.parametrize("folder", ["workload", "worklaods", "Workloads", "worklods"])
@pytest.mark.parametrize("more", [{}, {"db.container": OK}])
def test_a_folder_that_is_nearly_workloads_removes_nothing(folder: str, more: dict[str, str]) -> None:
    """A push of `mv workloads workload` would stop everything; beside workloads of the other layout too."""
    result = desired({f"{folder}/web/web.container": OK, **more})
    assert [(d.code, d.severity, d.file) for d in result.diagnostics] == [
        ("no-workloads", Severity.ERROR, folder)
    ]
    assert "did you mean workloads/?" in result.diagnostics[0].hint
    assert result.partial


def test_a_folder_that_is_nearly_workloads_beside_it_is_a_warning() -> None:
    """What is in workloads/ is meant, and what left it is removed as ever."""
    result = desired({"workloads/web/web.container": OK, "workload/db/db.container": OK})
    assert [(d.code, d.severity, d.file) for d in result.diagnostics] == [
        ("near-miss", Severity.WARNING, "workload")
    ]
    assert (list(result.workloads), result.partial) == (["web"], False)


@pytest.mark.parametrize("files", [{}, {"README": "", "work/deep/x": "", "docs/a/b.md": ""}])
def test_a_repository_without_workloads_is_a_warning(files: dict[str, str]) -> None:
    """It may be meant, so it counts; but that it takes everything off the hosts is said."""
    result = desired(files)
    assert [(d.code, d.severity) for d in result.diagnostics] == [("no-workloads", Severity.WARNING)]
    assert not result.partial


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("workloads/web/workload.tml", "workload.toml"),
        ("workloads/web/Workload.toml", "workload.toml"),
        ("workloads/web/site.contaner", "site.container"),
        ("workloads/web/backup.Timer", "backup.timer"),
        ("workloads/web/site.contaner.d/10.conf", "site.container.d/10.conf"),
        ("workloads/web/storage.toml", "at the top of the repository"),
        ("storage.tml", "storage.toml"),
        ("host/alpha.toml", "hosts/alpha.toml"),
    ],
)
def test_a_name_that_is_nearly_right_is_told(path: str, meant: str) -> None:
    """As a warning: the file is not read, which nobody would notice."""
    result = desired({"workloads/web/web.container": OK, path: ""})
    assert [(d.code, d.severity, d.file) for d in result.diagnostics] == [
        ("near-miss", Severity.WARNING, path)
    ]
    assert meant in result.diagnostics[0].hint
    assert list(result.workloads) == ["web"]


def test_names_that_are_their_own_are_no_misspellings() -> None:
    """Backups, patches, pages: files of a workload may be called what they like."""
    names = (
        "workload.toml.bak",
        "fix.patch",
        "conf/workload.tml",
        "site.conf",
        "a.pods",
        "x.d/a.conf",
        "config.toml",
    )
    files = {f"workloads/web/{name}": "" for name in names} | {"posts/a.toml": "", "work/a/b": ""}
    assert desired({"workloads/web/web.container": OK, **files}).diagnostics == ()


def test_a_refused_transform_refuses_who_uses_it() -> None:
    """As if it were not there, but saying why."""
    result = desired(
        {"ts/a.container": OK, "b.container": OK}, refused={"transforms/ts.container": "symlink"}
    )
    assert list(result.workloads) == ["b"]
    assert any("symlink" in finding.message for finding in result.refused["a"])


@pytest.mark.parametrize(
    "path", ["workloads/web/../x.container", "workloads/web//a.container", "workloads/web/a\nb"]
)
def test_paths_that_no_file_may_have_refuse_the_workload(path: str) -> None:
    """A hostile tree can hold them; nothing of it is written."""
    assert refused(desired({"workloads/web/a.container": OK, path: OK})) == {"web": {"unsafe-path"}}


def test_stray_quadlet_files_are_told() -> None:
    """A file where a folder is meant is an error, and so is one that quadlet-deploy would not read."""
    result = desired({"workloads/a.container": OK, "data.volume": "", "b.container": OK})
    assert {(d.code, d.severity, d.file) for d in result.diagnostics} == {
        ("stray-file", Severity.ERROR, "workloads/a.container"),
        ("stray-file", Severity.ERROR, "data.volume"),
    }
    assert list(result.workloads) == ["b"]


# --- hosts


def test_a_host_runs_what_its_file_names() -> None:
    """Others in the repository are neither wanted nor refused here, even if they are wrong."""
    files = {"a.container": OK, "b.container": "", "hosts/alpha.toml": 'workloads = ["a"]'}
    result = desired(files)
    assert (list(result.workloads), result.refused, result.diagnostics) == (["a"], {}, ())


@pytest.mark.parametrize("mistake", ["workloads = 1", "worklods = []", "a = "])
def test_a_mistake_in_the_hosts_file_leaves_everything_alone(mistake: str) -> None:
    """Which workloads are meant is not known, so none is changed and none removed."""
    result = desired({"a.container": OK, "workloads/b/b.container": OK, "hosts/alpha.toml": mistake})
    assert not result.workloads
    assert set(result.refused) == {"a", "b"}
    assert any(d.severity is Severity.ERROR and d.file == "hosts/alpha.toml" for d in result.diagnostics)


@pytest.mark.parametrize("path", ["hosts", "hosts/alpha.toml"])
def test_a_hosts_file_that_is_a_symlink_leaves_everything_alone(path: str) -> None:
    """The same as a mistake in it."""
    result = desired({"a.container": OK}, refused={path: "symlink"})
    assert refused(result) == {"a": {"refused-entry"}}


def test_names_in_the_hosts_file_have_to_exist() -> None:
    """A wanted or overridden workload that is not there is an error, an excluded one a warning."""
    files = {
        "web.container": OK,
        "hosts/alpha.toml": 'workloads = ["web", "wbe"]\n[workload.db.health]\ngrace = 1\n',
    }
    result = desired(files)
    assert [(d.code, d.line, d.severity.value) for d in result.diagnostics] == [
        ("unknown-workload", 1, "error"),
        ("unknown-workload", 2, "error"),
    ]
    assert "did you mean web?" in result.diagnostics[0].hint
    result = desired({"web.container": OK, "hosts/alpha.toml": 'exclude = ["old"]'})
    assert [(d.code, d.severity.value) for d in result.diagnostics] == [("unknown-workload", "warning")]


def test_a_host_that_is_not_listed_is_told() -> None:
    """Everything runs there, which may not be what was meant."""
    result = desired({"a.container": OK, "hosts/beta.toml": ""})
    assert list(result.workloads) == ["a"]
    assert codes(result) == {"host-not-listed"}


def test_layers_of_options() -> None:
    """The host's defaults, the workload's file, the host's file, each over the one before."""
    host = replace(HOST, options=WorkloadOptions(deadline=1.0, grace=1.5, update_schedule="daily"))
    files = {
        "workloads/a/a.container": OK,
        "workloads/a/workload.toml": "[health]\ngrace = 2\ndeadline = 2\n",
        "hosts/alpha.toml": "[workload.a.health]\ndeadline = 3\n",
    }
    options = desired(files, host).workloads["a"].options
    assert (options.deadline, options.grace, options.update_schedule) == (3.0, 2.0, "daily")


def test_default_requirements_hold_unless_written_otherwise() -> None:
    """`requires = []` opts out."""
    default = (Located("unit:x.target", "/etc/eventd/eventd.toml", 3),)
    host = replace(HOST, default_requires=default)
    assert desired({"a.container": OK}, host).workloads["a"].options.requires == default
    files = {"workloads/a/a.container": OK, "workloads/a/workload.toml": "requires = []"}
    assert desired(files, host).workloads["a"].options.requires == ()


# --- units


@pytest.mark.parametrize(
    ("files", "unit", "role"),
    [
        ({"a.container": OK}, "a.service", UnitRole.RUNNING),
        ({"a.container": OK + "[Service]\nType=oneshot\n"}, "a.service", UnitRole.ONESHOT),
        ({"a.container": OK + "[Service]\nType=oneshot\nRemainAfterExit=yes\n"}, "a.service", UnitRole.RUNNING),
        ({"a.kube": "[Kube]\nYaml=/k\n"}, "a.service", UnitRole.RUNNING),
        ({"a.pod": ""}, "a-pod.service", UnitRole.RUNNING),
        ({"a.network": ""}, "a-network.service", UnitRole.ON_DEMAND),
        ({"a.volume": ""}, "a-volume.service", UnitRole.ON_DEMAND),
        ({"a.image": "[Image]\nImage=x\n"}, "a-image.service", UnitRole.ON_DEMAND),
        ({"a.build": "[Build]\nImageTag=x\nFile=/f\n"}, "a-build.service", UnitRole.ON_DEMAND),
        ({"a.container": container("Pod=p.pod"), "p.pod": ""}, "a.service", UnitRole.RUNNING),
        ({"a.container": container("Pod=p.pod", "StartWithPod=no"), "p.pod": ""}, "a.service", UnitRole.ON_DEMAND),
        ({"a.container": OK, "a.timer": "[Timer]\n"}, "a.service", UnitRole.ON_DEMAND),
        ({"a.container": OK, "a.timer": "[Timer]\n"}, "a.timer", UnitRole.RUNNING),
        ({"a.container": OK, "b.timer": "[Timer]\nUnit=a.service\n"}, "a.service", UnitRole.ON_DEMAND),
        ({"a.container": OK, "b.socket": "[Socket]\nService=a.service\n"}, "a.service", UnitRole.ON_DEMAND),
        ({"a.container": OK, "a.path": "[Path]\n"}, "a.service", UnitRole.ON_DEMAND),
        ({"a.container": OK, "workload.toml": 'manual = "a.service"'}, "a.service", UnitRole.ON_DEMAND),
        ({"a.container": OK, "a.timer": "[Timer]\n", "workload.toml": 'manual = "a.timer"'}, "a.timer", UnitRole.ON_DEMAND),
        ({"a.service": "[Service]\n"}, "a.service", UnitRole.ON_DEMAND),
        ({"a.service": "[Service]\n[Install]\nWantedBy=default.target\n"}, "a.service", UnitRole.RUNNING),
        ({"a.service": "[Service]\nType=oneshot\n[Install]\nUpheldBy=x.target\n"}, "a.service", UnitRole.ONESHOT),
        ({"a.service": "[Service]\n[Install]\nWantedBy=x.target\n", "a.socket": "[Socket]\n"}, "a.service", UnitRole.ON_DEMAND),
        ({"a.target": "[Unit]\n"}, "a.target", UnitRole.RUNNING),
        ({"a.slice": ""}, "a.slice", UnitRole.ON_DEMAND),
        ({"a@.container": OK + "[Install]\nDefaultInstance=1\n"}, "a@1.service", UnitRole.RUNNING),
        ({"a@x.container": OK}, "a@x.service", UnitRole.RUNNING),
    ],
)  # fmt: skip
def test_roles(files: dict[str, str | bytes], unit: str, role: UnitRole) -> None:
    """What runs is wanted running, unless something else starts it."""
    assert units(in_web(files))[unit].role is role


def test_a_template_without_an_instance_is_installed_and_makes_no_unit() -> None:
    """Only instances can be loaded."""
    result = in_web({"a@.container": OK})
    assert units(result) == {}
    assert "a@.container" in {file.name for file in result.workloads["web"].files}


def test_a_unit_knows_the_file_that_defines_it() -> None:
    """As its SourcePath will say."""
    found = units(
        in_web(
            {"a@.container": OK + "[Install]\nDefaultInstance=1\n", "b.timer": "[Timer]\nUnit=a@1.service\n"}
        )
    )
    assert (found["a@1.service"].file, found["a@1.service"].file_role) == ("a@.container", FileRole.QUADLET)
    assert (found["b.timer"].file, found["b.timer"].file_role) == ("b.timer", FileRole.COMPANION)


def order(files: Mapping[str, str | bytes]) -> list[str]:
    return [name.removesuffix(".service") for name in units(in_web(files))]


def test_start_order() -> None:
    """Quadlet's references and After= and Before= bind, the name decides between equals."""
    a = {"c.container": OK, "b.container": OK, "a.container": OK}
    assert order(a) == ["a", "b", "c"]
    assert order(a | {"a.container": "[Unit]\nAfter=c.service\n" + OK}) == ["b", "c", "a"]
    assert order(a | {"c.container": "[Unit]\nBefore=a.service x.service\n" + OK}) == ["b", "c", "a"]
    assert order(a | {"a.container": container("Network=c.container")}) == ["b", "c", "a"]
    assert order(a | {"a.container": "[Unit]\nRequires=b.service\n" + OK}) == ["b", "a", "c"]
    assert order(a | {"a.service.d/x.conf": "[Unit]\nAfter=b.service\n"}) == ["b", "a", "c"]
    assert order(
        {"a.service": "[Service]\n", "b.container": OK, "a.service.d/x.conf": "[Unit]\nAfter=b.service\n"}
    ) == ["b", "a"]


def test_requirements_against_the_order_are_no_cycle() -> None:
    """A unit may want what is ordered after it: systemd does not order by Wants=."""
    files = {"a.container": "[Unit]\nWants=b.service\n" + OK, "b.container": "[Unit]\nAfter=a.service\n" + OK}
    assert order(files) == ["a", "b"]
    both = {"a.container": "[Unit]\nWants=b.service\n" + OK, "b.container": "[Unit]\nWants=a.service\n" + OK}
    assert sorted(order(both)) == ["a", "b"]


def test_a_cycle_is_spelled_out() -> None:
    """Each edge with who says so."""
    files = {
        "a.container": "[Unit]\nAfter=b.service\n" + OK,
        "b.container": container("Network=n.network", "Network=c.container"),
        "c.container": "[Unit]\nBefore=x.service\nAfter=a.service\n" + OK,
        "n.network": "",
    }
    (finding,) = in_web(files).refused["web"]
    assert finding.message == (
        "the units wait for each other: "
        "a.service waits for b.service (After= in workloads/web/a.container:2), "
        "b.service waits for c.service (Network= in workloads/web/b.container:4), "
        "c.service waits for a.service (After= in workloads/web/c.container:3)"
    )


# --- digests

BASE: dict[str, str | bytes] = {
    "web.container": container(
        "Network=n.network", "Volume=./conf:/c", "EnvironmentFile=./web.env", "Image=", "Image=i.build"
    ),
    "db.container": OK,
    "n.network": "[Network]\n",
    "i.build": "[Build]\nImageTag=x\nSetWorkingDirectory=./image\n",
    "image/Dockerfile": "FROM scratch\n",
    "conf/deep/a.ini": "a",
    "web.env": "A=1",
    "other.env": "A=1",
    "README.md": "hello",
    "web.container.d/10-x.conf": "[Container]\nLabel=a=b\n",
    "web.service.d/10-x.conf": "[Service]\nRestart=no\n",
    "k.kube": "[Kube]\nYaml=./k.yaml\n",
    "k.yaml": "kind: Pod\n",
    "p.pod": "[Pod]\n",
    "in.container": container("Pod=p.pod"),
    "t.timer": "[Timer]\nUnit=db.service\n",
}


@pytest.mark.parametrize(
    ("changed", "renewed"),
    [
        ("web.container", {"web"}),
        ("db.container", {"db"}),
        ("n.network", {"web", "n-network"}),
        ("i.build", {"web", "i-build"}),
        ("image/Dockerfile", {"web", "i-build"}),
        ("conf/deep/a.ini", {"web"}),
        ("web.env", {"web"}),
        ("other.env", set()),
        ("README.md", set()),
        ("web.container.d/10-x.conf", {"web"}),
        ("web.service.d/10-x.conf", {"web"}),
        ("k.yaml", {"k"}),
        ("p.pod", {"p-pod", "in"}),
        ("t.timer", {"t.timer"}),
    ],
)
def test_a_change_renews_what_is_made_of_it(changed: str, renewed: set[str]) -> None:
    """And nothing else; the workload's own digest changes in any case."""
    before = in_web(BASE)
    after = in_web(BASE | {changed: f"{BASE[changed]!s}\n# changed\n"})
    old, new = units(before), units(after)
    assert {n.removesuffix(".service") for n in new if new[n].digest != old[n].digest} == renewed
    assert before.workloads["web"].digest != after.workloads["web"].digest


def test_a_gate_renews_no_unit() -> None:
    """Eventd's own drop-in says when a unit is started, not what runs."""
    gated = in_web(BASE | {"workload.toml": 'requires = ["mount:/srv"]\n'})
    old, new = units(in_web(BASE)), units(gated)
    assert {name: unit.digest for name, unit in old.items()} == {
        name: unit.digest for name, unit in new.items()
    }


# --- eventd's drop-ins


def test_every_quadlet_file_gets_a_drop_in() -> None:
    """So that no unit waits for the network by polling; companions and data get none."""
    files = {f"a.{kind}": "" for kind in ("network", "volume", "pod")} | {
        "b.container": OK,
        "c.timer": "[Timer]\nUnit=b.service\n",
    }
    added = [f for f in in_web(files).workloads["web"].files if f.origin == "eventd"]
    assert [f.name for f in added] == [
        f"{name}.d/50-eventd.conf" for name in ("a.network", "a.pod", "a.volume", "b.container")
    ]
    assert all(b"[Quadlet]\nDefaultDependencies=false\n" in f.content for f in added)
    assert not any(b"[Install]" in f.content for f in added)


def test_a_gated_workload_is_not_started_by_its_manager() -> None:
    """[Install] is emptied."""
    result = in_web({"b.container": OK, "workload.toml": 'requires = ["mount:/srv"]'})
    text = content(result.workloads["web"], "b.container.d/50-eventd.conf")
    assert "[Install]\nWantedBy=\nRequiredBy=\n" in text


def test_a_file_that_sets_default_dependencies_has_its_way() -> None:
    """Also by a drop-in."""
    files = {"a.container": OK + "[Quadlet]\nDefaultDependencies=true\n"}
    own = in_web(files).workloads["web"].files[-1]
    assert own.name == "a.container.d/50-eventd.conf"
    assert b"DefaultDependencies" not in own.content


def test_transforms_do_not_touch_drop_ins_and_companions() -> None:
    """A transform of .container files is for .container files."""
    files = {
        "workloads/a/a.container": OK,
        "workloads/a/a.container.d/x.conf": "[Unit]\n",
        "workloads/a/b.pod": "",
        "workloads/a/workload.toml": 'transform = "t"',
        "transforms/t.container": "[Service]\nRestart=always\n",
        "transforms/t.pod": "[Service]\nRestartSec=3\n",
    }
    a = desired(files).workloads["a"]
    assert "Restart=always" in content(a, "a.container")
    assert content(a, "a.container.d/x.conf") == "[Unit]\n"
    assert content(a, "b.pod") == "[Service]\nRestartSec=3\n"


def test_the_files_can_be_shown() -> None:
    """Each with its role and origin; what is not text by its size."""
    text = explain_files(in_web({"a.container": OK, "x.bin": b"\0\1"}).workloads["web"])
    assert "# --- data x.bin (from workloads/web/x.bin)\n(2 bytes)\n" in text
    assert f"# --- quadlet a.container (from workloads/web/a.container)\n{OK}" in text


# --- as a whole

names = st.sampled_from(
    ["a.container", "ts/b.container", "workloads/c/c.container", "workloads/c/d.pod", "workloads/c/workload.toml",
     "workloads/e/x.timer", "transforms/ts.container", "hosts/alpha.toml", "workloads/../x.container", "workloads/c/s/y.volume"]
)  # fmt: skip
texts = st.sampled_from(
    [
        OK,
        "",
        "[Container]\n+Exec=x\n",
        "[Timer]\n",
        "\\",
        "a = 1\n",
        'workloads = ["c"]\n',
        container("Pod=d.pod"),
    ]
)


@given(st.dictionaries(names, texts), st.sets(names))
def test_no_workload_of_the_tree_is_lost(files: dict[str, str], links: set[str]) -> None:
    """Whatever the tree holds: each workload in it is wanted, refused, or not for this host; never merely missing."""
    links -= set(files)
    result = desired(files, refused=dict.fromkeys(links, "symlink"))
    present = {
        name
        for path, name in {
            "a.container": "a",
            "ts/b.container": "b",
            "workloads/c/c.container": "c",
            "workloads/e/x.timer": "e",
        }.items()
        if path in files or path in links
    }
    chosen = files.get("hosts/alpha.toml", "").startswith("workloads")
    accounted = set(result.workloads) | set(result.refused)
    assert (present & {"c"} if chosen else present) <= accounted
    assert not set(result.workloads) & set(result.refused)
    assert result == desired(files, refused=dict.fromkeys(links, "symlink"))


@given(st.lists(st.dictionaries(names, texts), max_size=4))
def test_a_cache_changes_nothing(commits: list[dict[str, str]]) -> None:
    """With what the commit before left in the cache, the result is that without."""
    cache: Cache = {}
    for files in commits:
        assert assemble(tree(files), HOST, cache) == assemble(tree(files), HOST)


def test_a_cache_saves_what_did_not_change() -> None:
    """An unchanged workload is the very same object; a changed one, or one whose transform changed, is not."""
    cache: Cache = {}
    files = {"a.container": OK, "b.container": OK, "ts/c.container": OK, "transforms/ts.container": ""}
    first = assemble(tree(files), HOST, cache).workloads
    second = assemble(tree(files | {"b.container": OK + "#\n"}), HOST, cache).workloads
    assert (first["a"] is second["a"], first["b"] is second["b"], first["c"] is second["c"]) == (
        True,
        False,
        True,
    )
    third = assemble(
        tree(files | {"transforms/ts.container": "[Container]\nExec=x\n"}), HOST, cache
    ).workloads
    assert (second["a"] is third["a"], second["c"] is third["c"]) == (True, False)
    assert set(cache) == {"a", "b", "c"}
