"""Scope: where a message says that an option of a workload is written: a file that this workload can have."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.unit.desired.trees import container, desired

OK = container()
ROOT = Path(__file__).parents[3]


def test_eventds_own_layout_has_a_file_per_workload() -> None:
    """Whether or not the file is there yet."""
    place = desired({"workloads/web/web.container": OK}).workloads["web"].options.place
    assert place.key("health.deadline") == "deadline in [health] of workloads/web/workload.toml"
    assert place.key("requires") == "requires in workloads/web/workload.toml"


def test_quadlet_deploys_layout_has_the_hosts_file() -> None:
    """There is no folder for a workload.toml there, so that is not what a hint may name."""
    place = desired({"web.container": OK}).workloads["web"].options.place
    assert place.key("health.deadline") == "deadline in [workload.web.health] of hosts/alpha.toml"
    assert place.key("requires") == "requires in [workload.web] of hosts/alpha.toml"


def test_what_the_hosts_file_sets_is_changed_there() -> None:
    """It wins over workload.toml, so a change of that would do nothing."""
    files = {
        "workloads/web/web.container": OK,
        "workloads/web/workload.toml": '[health]\ndeadline = "10s"\ngrace = "2s"\n',
        "hosts/alpha.toml": '[workload.web.health]\ndeadline = "20s"\n',
    }
    place = desired(files).workloads["web"].options.place
    assert place.key("health.deadline") == "deadline in [workload.web.health] of hosts/alpha.toml"
    assert place.key("health.grace") == "grace in [health] of workloads/web/workload.toml"


def test_the_hint_of_a_finding_works_in_quadlet_deploys_layout() -> None:
    """Followed, the warning is answered by a gate."""
    warned = desired({"web.container": "[Unit]\nAfter=network-online.target\n" + OK})
    (finding,) = warned.diagnostics
    assert (
        'requires = ["unit:network-online.target"]: requires in [workload.web] of hosts/alpha.toml'
        in finding.hint
    )
    followed = desired(
        {
            "web.container": OK,
            "hosts/alpha.toml": '[workload.web]\nrequires = ["unit:network-online.target"]\n',
        }
    )
    assert [each.text for each in followed.workloads["web"].options.requires] == [
        "unit:network-online.target"
    ]


def test_no_message_names_the_file_by_itself() -> None:
    """A literal `workload.toml` in a message is wrong in one layout or on one host: `OptionsPlace.key` knows which."""
    allowed = {
        "eventd/desired/model_options_place.py",
        "eventd/desired/model_misspellings.py",
        "eventd/removal/commands.py",
    }
    named = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for folder in ("eventd", "handlers", "policies")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if str(path.relative_to(ROOT)) not in allowed
        for node in _literals(ast.parse(path.read_text()))
        if "workload.toml" in str(node.value)
    ]
    assert named == []


def _literals(tree: ast.Module) -> list[ast.Constant]:
    """Return the texts of a module that are no docstrings (a text that is a statement of its own)."""
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents
    ]
