"""Scope: units and stacks that are in no workload: found by their names, told as errors, hidden by a mark."""

from __future__ import annotations

import pytest

from eventd.kernel.model.diagnostics import Diagnostic, Severity
from tests.unit.desired.trees import container, desired

OK = container()


def strays(files: dict[str, str]) -> list[Diagnostic]:
    """Return the findings about strays of a repository that has one workload besides."""
    result = desired({"workloads/web/web.container": OK, **files})
    assert list(result.workloads) == ["web"]
    return [each for each in result.diagnostics if each.code == "stray-file"]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("typo/site.contaner", "as site.container"),
        ("stacks/compose.yaml", "workloads/NAME/"),
        ("compose.yml", ".eventdignore (with compose.yml in it)"),
        ("stacks/media/docker-compose.prod.yml", "stacks/.eventdignore"),
        ("apps/media.compose.yaml", "workloads/NAME/"),
        ("gw/app.pod", "workloads/NAME/"),
        ("kube1/app.kube", "workloads/NAME/"),
        ("app.timer", "workloads/NAME/"),
        ("a/b/c/deep.container", "workloads/NAME/"),
        ("x/compose.yalm", "workloads/NAME/"),
    ],
)
def test_what_looks_deployable_and_is_in_no_workload_is_an_error(path: str, hint: str) -> None:
    """It fails the run and names the file and the two ways out; the workloads go on, and none is removed meanwhile."""
    (finding,) = strays({path: OK})
    assert (finding.severity, finding.file) == (Severity.ERROR, path)
    assert hint in finding.hint
    assert desired({path: OK}).partial


@pytest.mark.parametrize(
    "path",
    [
        "docs/x.md",
        ".github/app.container",
        "tools/.cache/a.service",
        "README",
        "scripts/run.sh",
        "data/values.yaml",
    ],
)
def test_what_looks_like_something_else_is_left_alone(path: str) -> None:
    """Names alone decide: documents, scripts and hidden folders are none of eventd's business."""
    assert strays({path: ""}) == []


@pytest.mark.parametrize(
    "marks",
    [
        {"examples/.eventdignore": ""},
        {"examples/.eventdignore": "# of no concern\n"},
        {"examples/.eventdignore": "*/compose.yaml\n"},
        {".eventdignore": "examples/*\n"},
        {".eventdignore": "examples\n"},
        {"examples/one/.eventdignore": ""},
    ],
)
def test_a_marked_folder_is_left_alone(marks: dict[str, str]) -> None:
    """An ignore file hides its folder, or what its patterns match."""
    assert len(strays({"examples/one/compose.yaml": ""})) == 1
    assert strays({"examples/one/compose.yaml": "", **marks}) == []
    assert len(strays({"examples/one/compose.yaml": "", "stacks/compose.yaml": "", **marks})) == 1


def test_a_mark_does_not_hide_a_workload() -> None:
    """What is in workloads/ is deployed; nothing in the repository can hide it by accident."""
    result = desired(
        {"workloads/web/web.container": OK, "workloads/.eventdignore": "", ".eventdignore": "*\n"}
    )
    assert list(result.workloads) == ["web"]


def test_an_empty_mark_at_the_top_is_a_mistake() -> None:
    """It would hide every stray, and so every mistake of this kind."""
    (mark, stray) = strays({".eventdignore": "\n", "stacks/compose.yaml": ""})
    assert (mark.file, stray.file) == (".eventdignore", "stacks/compose.yaml")


def test_a_folder_is_told_once() -> None:
    """Fifty files of one folder are one mistake."""
    (finding,) = strays({f"stacks/s{number:02}/compose.yaml": "" for number in range(50)})
    assert finding.file == "stacks/s00/compose.yaml"
    assert "and 46 more" in finding.message


def test_a_folder_that_is_nearly_workloads_is_told_once() -> None:
    """The finding about the folder says it already."""
    result = desired({"worklaods/web/web.container": OK, "workloads2.md": ""})
    assert [each.code for each in result.diagnostics] == ["no-workloads"]
