"""A file of the repository can be anything: what is wrong with it refuses one workload, in a moment, and no other."""

from __future__ import annotations

import pytest

from eventd.desired.model import Tree, TreeFile
from eventd.desired.model_assembly import HostRules, assemble

GOOD = {"workloads/good/good.container": b"[Container]\nImage=localhost/x:1\n"}
CONTAINER = {"workloads/bad/bad.container": b"[Container]\nImage=localhost/x:1\n"}
TOML, YAML = "workloads/bad/workload.toml", "workloads/bad/compose.yaml"
SIZE = 1 << 20


@pytest.mark.parametrize(
    ("path", "content", "code"),
    [
        (TOML, b"a=" + b"[" * 60_000, "bad-toml"),
        (TOML, b"a=" + b"{a=" * 20_000, "bad-toml"),
        (TOML, b"a" + b".a" * 30_000 + b"=1\n", "bad-toml"),
        (TOML, b"[" + b'"a" . ' * 10_000 + b"a]\n", "bad-toml"),
        (TOML, b"a" * 200_000, "bad-toml"),
        (TOML, b"a=1\n" + b"#" * SIZE, "bad-toml"),
        (YAML, b"services: {a: {image: x, command: [" + b"1," * (SIZE // 2) + b"]}}", "bad-yaml"),
        (YAML, b"services: " + b"[" * 100_000, "bad-yaml"),
        (YAML, b"{a: " * 60_000, "bad-yaml"),
    ],
    ids=["arrays", "tables", "parts", "quoted-parts", "one-word", "size", "list", "yaml-arrays", "yaml-maps"],
)
def test_a_file_made_to_be_expensive_is_refused_alone(path: str, content: bytes, code: str) -> None:
    """Nesting, keys of thousands of parts, sheer size: a finding, and the workload beside it is desired."""
    files = GOOD | (CONTAINER if path == TOML else {}) | {path: content}
    desired = assemble(Tree("c" * 40, {p: TreeFile(p, c) for p, c in files.items()}), HostRules("host"))
    assert (set(desired.workloads), set(desired.refused)) == ({"good"}, {"bad"})
    assert code in {each.code for each in desired.refused["bad"]}
