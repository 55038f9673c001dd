"""Trees written down as a dictionary, for the tests of the desired state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventd.desired.model import Desired, Tree, TreeFile
from eventd.desired.model_assembly import HostRules, assemble

if TYPE_CHECKING:
    from collections.abc import Mapping

HOST = HostRules("alpha", protected=frozenset({"alice"}))


def tree(files: Mapping[str, str | bytes], refused: Mapping[str, str] | None = None) -> Tree:
    """Return a tree of these files; text is given as people write it."""
    return Tree(
        "c0ffee",
        {p: TreeFile(p, text.encode() if isinstance(text, str) else text) for p, text in files.items()},
        refused or {},
    )


def desired(
    files: Mapping[str, str | bytes], host: HostRules = HOST, refused: Mapping[str, str] | None = None
) -> Desired:
    """Assemble it."""
    return assemble(tree(files, refused), host)


def container(*lines: str) -> str:
    """Return a container that is right, with further lines of [Container]."""
    return "\n".join(("[Container]", "Image=docker.io/library/busybox:1.36", *lines, ""))


def in_web(files: Mapping[str, str | bytes]) -> Desired:
    """Assemble one workload, `web`, of these files."""
    return desired({f"workloads/web/{name}": text for name, text in files.items()})
