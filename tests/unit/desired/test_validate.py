"""Scope: what is found wrong in a workload: code, file, line and hint of each; exhaustive over the codes."""

# ruff: noqa: E501  the tables read better with a case a line

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.status import adapter_reasons as reasons
from tests.unit.desired.trees import container, desired, in_web

OK = container()
STACK = "services:\n  app:\n    image: docker.io/library/busybox:1.36\n"

REFUSALS: list[tuple[str, dict[str, str | bytes], str, int, str]] = [
    # code, files of the workload `web`, file, line, part of message or hint
    ("crlf", {"a.container": OK.replace("\n", "\r\n")}, "a.container", 1, "LF"),
    ("byte-order-mark", {"a.container": "\ufeff" + OK}, "a.container", 1, "UTF-8"),
    ("nul-byte", {"a.container": OK + "Exec=\0\n"}, "a.container", 3, "NUL"),
    ("not-utf-8", {"a.container": OK.encode() + b"Exec=\xff\n"}, "a.container", 3, "UTF-8"),
    ("unfinished-continuation", {"a.container": OK + "Exec=a \\\n"}, "a.container", 3, "backslash"),
    ("blank-in-continuation", {"a.container": OK + "Exec=a \\\n\n"}, "a.container", 4, "podman"),
    ("double-backslash", {"a.container": OK + "Exec=a\\\\\n"}, "a.container", 3, "podman"),
    ("invalid-section", {"a.container": OK + "[Service\n"}, "a.container", 3, "[Name]"),
    ("invalid-key", {"a.container": OK + "=x\n"}, "a.container", 3, "equals"),
    ("invalid-line", {"a.container": OK + "hello\n"}, "a.container", 3, "Key=Value"),
    ("no-section", {"a.container": "Image=x\n" + OK}, "a.container", 1, "Image="),
    ("unknown-section", {"a.container": OK + "[Sevice]\n"}, "a.container", 3, "did you mean Service?"),
    ("unknown-section", {"a.container": OK, "a.timer": "[Timer]\n[Container]\n"}, "a.timer", 2, "unknown section [Container]"),
    ("unknown-key", {"a.container": OK + "Volumes=/a:/b\n"}, "a.container", 3, "did you mean Volume?"),
    ("unknown-key", {"a.container": OK + "[Quadlet]\nDefaultDeps=no\n"}, "a.container", 4, "DefaultDependencies"),
    ("unknown-key", {"a.container": OK, "a.container.d/x.conf": "[Container]\nImages=y\n"}, "a.container.d/x.conf", 2, "Image"),
    ("plus-key", {"a.container": OK + "+Volume=/a:/b\n"}, "a.container", 3, "transforms"),
    ("plus-key", {"a.service": "[Service]\n+ExecStart=/bin/true\n"}, "a.service", 2, "transforms"),
    ("missing-section", {"a.container": "[Unit]\n"}, "a.container", 0, "Image= or Rootfs="),
    ("missing-section", {"a.container": OK, "a.timer": "[Unit]\n"}, "a.timer", 0, "[Timer]"),
    ("missing-key", {"a.container": "[Unit]\n[Container]\nExec=x\n"}, "a.container", 2, "Image= or Rootfs="),
    ("missing-key", {"a.container": "[Container]\nImage=x\nImage=\n"}, "a.container", 1, "Image="),
    ("missing-key", {"a.kube": "[Kube]\n"}, "a.kube", 1, "Yaml="),
    ("missing-key", {"a.image": "[Image]\n"}, "a.image", 1, "Image="),
    ("missing-key", {"a.build": "[Build]\nFile=/x\n"}, "a.build", 1, "ImageTag="),
    ("missing-key", {"a.build": "[Build]\nImageTag=x\n"}, "a.build", 1, "SetWorkingDirectory="),
    ("conflicting-keys", {"a.container": OK + "Rootfs=/x\n"}, "a.container", 3, "exclude"),
    ("missing-reference", {"a.container": OK + "Network=fornt.network\n", "front.network": ""}, "a.container", 3, "did you mean front.network?"),
    ("missing-reference", {"a.container": OK + "Volume=data.volume:/x\n"}, "a.container", 3, "add data.volume"),
    ("missing-reference", {"a.container": OK + "Mount=type=volume,source=d.volume,dst=/x\n"}, "a.container", 3, "d.volume"),
    ("missing-reference", {"a@.container": OK + "Volume=v%i.volume:/x\n"}, "a@.container", 3, "v%i.volume"),
    ("missing-reference", {"a.container": OK + "Pod=p.pod\n"}, "a.container", 3, "p.pod"),
    ("missing-reference", {"a.container": OK + "Pod=p\n"}, "a.container", 3, "p.pod?"),
    ("missing-reference", {"a.container": "[Container]\nImage=i.image\n"}, "a.container", 2, "i.image"),
    ("missing-reference", {"a.container": "[Container]\nImage=i.build\n"}, "a.container", 2, "i.build"),
    ("missing-reference", {"a.container": OK + "Network=b.container\n"}, "a.container", 3, "b.container"),
    ("missing-reference", {"a.volume": "[Volume]\nImage=i.image\n"}, "a.volume", 2, "i.image"),
    ("missing-reference", {"a.container": OK, "b.timer": "[Timer]\nOnCalendar=daily\n"}, "b.timer", 0, "b.service"),
    ("escaping-path", {"a.container": OK + "EnvironmentFile=../b/x.env\n"}, "a.container", 3, "outside"),
    ("escaping-path", {"a.container": OK + "Volume=./x/../../b:/b\n"}, "a.container", 3, "outside"),
    ("escaping-path", {"a.container": OK + "Mount=type=bind,source=../b,dst=/b\n"}, "a.container", 3, "outside"),
    ("escaping-path", {"a.kube": "[Kube]\nYaml=../k.yaml\n"}, "a.kube", 2, "outside"),
    ("missing-file", {"a.container": OK + "EnvironmentFile=./x.emv\n", "x.env": "A=1\n"}, "a.container", 3, "did you mean x.env?"),
    ("missing-file", {"a.container": OK + "Volume=./conf:/conf\n"}, "a.container", 3, "add conf"),
    ("missing-file", {"a.container": OK + "Volume=./data:/data\n", "x.env": ""}, "a.container", 3, "use a named volume"),
    ("bad-value", {"a.container": OK, "workload.toml": 'renamed_from = "../x"\n'}, "workload.toml", 1, "the earlier name"),
    ("missing-file", {"a.kube": "[Kube]\nYaml=k.yaml\n"}, "a.kube", 2, "add k.yaml"),
    ("root-only-setting", {"a.container": OK + "[Service]\nUser=me\n"}, "a.container", 4, "user manager"),
    ("root-only-setting", {"a.service": "[Service]\nExecStart=/bin/true\nDynamicUser=yes\n"}, "a.service", 3, "create users"),
    ("bad-service-type", {"a.container": OK + "[Service]\nType=simple\n"}, "a.container", 4, "notify, oneshot"),
    ("duplicate-unit", {"a.container": OK, "a.service": "[Service]\nExecStart=/bin/true\n"}, "a.service", 0, "a.service"),
    ("duplicate-unit", {"a.container": OK, "b.container": container("ServiceName=a")}, "b.container", 0, "a.service"),
    ("duplicate-unit", {"a.container": OK, "a.kube": "[Kube]\nYaml=/k\n"}, "a.kube", 0, "a.service"),
    ("duplicate-container-name", {"a.container": container("ContainerName=x"), "b.container": container("ContainerName=x")}, "b.container", 3, "a.container"),
    ("duplicate-container-name", {"a.container": container("ContainerName=systemd-b"), "b.container": OK}, "b.container", 1, "a.container"),
    ("duplicate-container-name", {"a.container": container("ContainerName=x"), "p.pod": "[Pod]\nPodName=x\n"}, "p.pod", 2, "a.container"),
    ("install-after-gate", {"a.container": OK, "a.container.d/60-x.conf": "[Install]\nWantedBy=default.target\n", "workload.toml": 'requires="x:y"\n'}, "a.container.d/60-x.conf", 2, "sort before"),
    ("ordering-cycle", {"a.container": "[Unit]\nAfter=b.service\n" + OK, "b.container": "[Unit]\nAfter=a.service\n" + OK}, "a.container", 2, "a.service waits for b.service"),
    ("unknown-unit", {"a.container": OK, "workload.toml": 'manual = ["b.service"]\n'}, "workload.toml", 1, "a.service"),
    ("no-units", {"README.md": "hello\n"}, "", 0, ".container"),
    ("nested-unit", {"a.container": OK, "sub/b.container": OK}, "sub/b.container", 0, "subfolders"),
    ("unsupported-unit", {"a.container": OK, "x.mount": "[Mount]\n"}, "x.mount", 0, ".mount"),
    ("bad-unit-name", {"a b.container": OK}, "a b.container", 0, "not a valid unit name"),
    ("orphan-drop-in", {"a.container": OK, "b.container.d/x.conf": "[Unit]\n"}, "b.container.d/x.conf", 0, "no b.container"),
    ("reserved-file", {"a.container": OK, "a.container.d/50-eventd.conf": "[Unit]\n"}, "a.container.d/50-eventd.conf", 0, "rename"),
    ("case-clash", {"a.container": OK, "A.container": OK}, "a.container", 0, "case"),
    ("no-services", {"compose.yaml": "services: {}\n"}, "compose.yaml", 1, "at least one"),
    ("bad-yaml", {"compose.yaml": "services: [\n"}, "compose.yaml", 2, "expected"),
    ("bad-value", {"compose.yaml": STACK + "    env_file: '/run/a b.env'\n"}, "compose.yaml", 4, "characters"),
    ("compose-and-quadlets", {"compose.yaml": STACK, "a.container": OK}, "a.container", 0, "not both"),
    ("reserved-file", {"compose.yaml": STACK, "web.service": "[Service]\nExecStart=/bin/true\n"}, "web.service", 0, "web.service.d"),
    ("missing-file", {"compose.yaml": STACK + "    env_file: x.env\n"}, "compose.yaml", 4, "no x.env"),
    ("bad-value", {"compose.yaml": STACK, "workload.toml": '[compose]\nenv_files = ["x.env"]\n'}, "workload.toml", 2, "absolute path"),
    ("bad-duration", {"compose.yaml": STACK, "workload.toml": '[compose]\ntimeout = "0s"\n'}, "workload.toml", 2, "longer than zero"),
    ("bad-toml", {"a.container": OK, "workload.toml": "a = 1\nb = \n"}, "workload.toml", 2, "not TOML"),
    ("unknown-option", {"a.container": OK, "workload.toml": "[heath]\n"}, "workload.toml", 1, "did you mean health?"),
    ("wrong-type", {"a.container": OK, "workload.toml": "transform = 1\n"}, "workload.toml", 1, "quotes"),
    ("bad-value", {"a.container": OK, "workload.toml": '[remove]\ndata = "delte"\n'}, "workload.toml", 2, "delete"),
    ("bad-duration", {"a.container": OK, "workload.toml": '[health]\ndeadline = "5 parsec"\n'}, "workload.toml", 2, "parsec"),
    ("unknown-transform", {"a.container": OK, "workload.toml": 'transform = "x"\n'}, "workload.toml", 1, "transforms/x.container"),
    ("undefined-reference", {"compose.yaml": STACK + "    networks: [back]\n"}, "compose.yaml", 4, "add it: networks: {back: {}}"),
    ("undefined-reference", {"compose.yaml": STACK + "    volumes: ['dta:/x']\nvolumes: {data: {}}\n"}, "compose.yaml", 4, "did you mean data?"),
    ("undefined-reference", {"compose.yaml": STACK + "    volumes:\n      - {type: volume, source: data, target: /x}\n"}, "compose.yaml", 5, "volume data"),
    ("undefined-reference", {"compose.yaml": STACK + "    secrets: [{source: db}]\n"}, "compose.yaml", 4, "secret db"),
    ("undefined-reference", {"compose.yaml": STACK + "    configs: [db]\n"}, "compose.yaml", 4, "config db"),
    ("undefined-reference", {"compose.yaml": STACK + "    depends_on: {db: {condition: service_started}}\n"}, "compose.yaml", 4, "no such service"),
]  # fmt: skip

WARNINGS: list[tuple[str, dict[str, str | bytes], str, int, str]] = [
    ("newer-key", {"a.container": OK + "Memory=1g\n"}, "a.container", 3, "newer than 5.4"),
    ("quadlet-name-in-unit", {"a.container": "[Unit]\nAfter=n.network\n" + OK, "n.network": ""}, "a.container", 2, "n-network.service"),
    ("ignored-key", {"a.container": OK + "[Service]\nRestrat=always\n"}, "a.container", 4, "did you mean Restart?"),
    ("ignored-key", {"a.container": "[Unit]\nAftr=x.service\n" + OK}, "a.container", 2, "did you mean After?"),
    ("ignored-key", {"a.container": OK, "a.timer": "[Timer]\nOnCalender=daily\n"}, "a.timer", 2, "did you mean OnCalendar?"),
    ("bad-value", {"a.container": OK, "a.timer": "[Timer]\nOnCalendar=dayly\n"}, "a.timer", 2, "systemd-analyze calendar"),
    ("glued-continuation", {"a.container": OK + "Exec=a\\\n b\n"}, "a.container", 3, "space"),
    ("system-target", {"a.container": "[Unit]\nAfter=network-online.target\n" + OK}, "a.container", 2, "requires ="),
    ("system-target", {"a.container": OK + "[Install]\nWantedBy=multi-user.target\n"}, "a.container", 4, "default.target"),
    ("ignored-file", {"a.container": OK, "sub/workload.toml": ""}, "sub/workload.toml", 0, "ignored"),
    ("ignored-file", {"compose.yaml": STACK, "docker-compose.yml": STACK}, "docker-compose.yml", 0, "keep one"),
    ("compose-build", {"compose.yaml": "services:\n  app:\n    build: .\n"}, "compose.yaml", 0, "registry"),
]  # fmt: skip


def at(findings: tuple[Diagnostic, ...], code: str, file: str, line: int) -> Diagnostic:
    place = f"workloads/web/{file}".rstrip("/")
    found = [d for d in findings if (d.code, d.file, d.line) == (code, place, line)]
    assert len(found) == 1, [str(d) + f" <{d.code}>" for d in findings]
    return found[0]


@pytest.mark.parametrize(
    ("code", "files", "file", "line", "says"), REFUSALS, ids=[f"{r[0]}-{n}" for n, r in enumerate(REFUSALS)]
)
def test_a_mistake_refuses_the_workload(
    code: str, files: dict[str, str | bytes], file: str, line: int, says: str
) -> None:
    """Each mistake refuses the workload with one finding of its code at its place, which says what to do."""
    result = in_web(files)
    assert not result.workloads
    finding = at(result.refused["web"], code, file, line)
    assert finding.severity is Severity.ERROR
    assert says in str(finding)


@pytest.mark.parametrize(("code", "files", "file", "line", "says"), REFUSALS)
def test_a_mistake_refuses_no_other_workload(
    code: str, files: dict[str, str | bytes], file: str, line: int, says: str
) -> None:
    """A bad workload is refused by itself."""
    del code, file, line, says
    good = {"workloads/good/a.container": OK}
    result = desired({f"workloads/web/{name}": text for name, text in files.items()} | good)
    assert list(result.workloads) == ["good"]
    assert list(result.refused) == ["web"]


@pytest.mark.parametrize(("code", "files", "file", "line", "says"), WARNINGS)
def test_doubtful_things_are_told_and_accepted(
    code: str, files: dict[str, str | bytes], file: str, line: int, says: str
) -> None:
    """A warning is among the findings of the repository, and the workload is accepted."""
    result = in_web(files)
    assert list(result.workloads) == ["web"]
    finding = at(result.diagnostics, code, file, line)
    assert finding.severity is Severity.WARNING
    assert says in str(finding)


def test_every_code_is_documented() -> None:
    """The table of reasons lists each code that core can give among the findings, and no other."""
    root = Path(__file__).parents[3]
    modules = [
        "unitfiles/model",
        "desired/model_survey",
        "desired/model_content",
        "desired/model_validation",
        "desired/model_units",
        "desired/model_transform_sources",
        "desired/model_options",
        "desired/model_assembly",
        "kernel/model/names",
        "compose/model_file",
        "compose/model_stack",
        "approvals/model_committed",
        "kernel/model/toml_table",
        "storage/model_placement",
        "storage/model_file",
        "desired/model_misspellings",
        "desired/model_strays",
        "desired/model_host_ports",
        "desired/model_plain_secrets",
        "desired/model_write_access",
        "desired/model_systemd_settings",
        "accounts/model_host_accounts",
        "files/model_host_files",
        "gates/model_predicate_read",
        "gates/model_predicate_parse",
        "waits/model_declared",
        "waits/model_refusal",
    ]
    source = "".join((root / f"eventd/{name}.py").read_text() for name in modules)
    given = set(re.findall(r'"([a-z0-9]+(?:-[a-z0-9]+)+)"', source)) - {
        "www-data",
        "utf-8",
        "utf-8-",
        "on-demand",
        "podman-compose",
        "keep-id",
        "user-unit",
    }
    given -= {code for code in given if code.startswith("systemd-")}
    documented = {each.name for each in reasons.table() if each.group == reasons.FINDINGS}
    assert given | {"crlf", "generator"} == documented


ACCEPTED: list[dict[str, str | bytes]] = [
    {"n.network": "", "v.volume": "", "p.pod": ""},
    {"a.container": container("Network=host", "Volume=named:/x", "Volume=/abs:/y", "Volume=%h/z:/z", "EnvironmentFile=-./none.env")},
    {"a.container": container("ContainerName=other")},
    {"a.container": OK, "a.container.d/10-x.conf": "[Container]\nExec=x\n", "a.service.d/y.conf": "[Service]\nRestart=no\n"},
    {"web-a.container": OK, "web-.container.d/x.conf": "[Container]\nExec=x\n", "container.d/y.conf": "[Unit]\n"},
    {"a@.container": container("Volume=%h/%i:/x") + "[Install]\nDefaultInstance=1\n"},
    {"a@.container": OK, "a@.socket": "[Socket]\nListenStream=%t/x\nAccept=yes\n"},
    {"a.service": "[Service]\nExecStart=/bin/cat\n", "a.socket": "[Socket]\nListenStream=%t/x\n", "s.slice": ""},
    {"a.build": "[Build]\nImageTag=x\nSetWorkingDirectory=unit\n", "Dockerfile": "FROM scratch\n"},
    {"a.build": "[Build]\nImageTag=x\nFile=./Dockerfile\nSetWorkingDirectory=unit\n", "Dockerfile": "FROM scratch\n"},
    {"a.build": "[Build]\nImageTag=x\nSetWorkingDirectory=https://github.com/x/y.git\n"},
    {"a.kube": "[Kube]\nYaml=k/a.yaml\nSetWorkingDirectory=yaml\n", "k/a.yaml": "kind: Pod\n"},
    {"a.container": OK + "[X-Mine]\nAnything=1\n"},
    {"a.container": OK + "[Service]\nDynamicUser=no\nUser=\n"},
    {"a.container": OK + "[Unit]\nX-Mine=1\n[Service]\nRestart=always\nMemoryMax=1G\nStartLimitInterval=1\n"},
    {"a.container": OK, "a.timer": "[Timer]\nOnCalendar=Mon..Fri *-*-* 04:00 Europe/Berlin\nPersistent=yes\n"},
    {"compose.yaml": STACK + "    networks: {default: {}, back: {}}\n    volumes: [data:/x, './conf:/y:ro', /a]\n"
        "    depends_on: [db]\n    secrets: [s]\n  db: {image: x}\nnetworks: {back: }\nvolumes: {data: {}}\nsecrets: {s: {file: /run/s}}\n", "conf/x": ""},
    {"compose.yaml": STACK + "    networks: [back]\n", "compose.override.yaml": "networks: {back: {}}\n" + STACK},
    {"compose.yaml": "include: [more.yaml]\n" + STACK + "    networks: [back]\n", "more.yaml": "networks: {back: {}}\n"},
]  # fmt: skip


@pytest.mark.parametrize("files", ACCEPTED)
def test_what_is_right_is_accepted_without_a_word(files: dict[str, str | bytes]) -> None:
    """No false alarm."""
    result = in_web(files)
    assert result.refused == {}
    assert result.diagnostics == ()
