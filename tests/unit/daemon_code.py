"""The modules that can run inside the daemon, read from the source: what tests ask who does what there.

Programs of their own are left out, by the roles of their files. A pattern that no file matches is an error: whoever
moves files adapts it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("eventd", "handlers", "policies")
PROGRAMS = (
    r"eventd/cli/",
    r"eventd/[a-z]+/commands",
    r"eventd/doctor/adapter",
    r"eventd/webhook/",
    r"eventd/gates/probe/",
    r"eventd/storage/volume/",
    r"eventd/compose/(process|__)",
)
"""What runs in processes of its own: `eventctl`, and the other programs."""


@cache
def modules() -> Mapping[str, ast.Module]:
    """Return each module that the daemon can import, by its path in the checkout."""
    files = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    paths = {str(path.relative_to(ROOT)): path for path in files}
    for folder in FOLDERS:
        assert any(name.startswith(f"{folder}/") for name in paths), f"no module below {folder}/"
    for pattern in PROGRAMS:
        assert any(re.match(pattern, name) for name in paths), f"no file is {pattern} any more"
    others = re.compile("|".join(PROGRAMS))
    return {name: ast.parse(path.read_text()) for name, path in paths.items() if not others.match(name)}
