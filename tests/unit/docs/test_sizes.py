"""Scope: no file of the product's code is long: beyond 400 lines it has two subjects, and is two files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[3]
FOLDERS = ("eventd", "handlers", "policies", "simulators", "docs")
MOST = 400
"""Lines."""
STILL_LONG: dict[str, int] = {}
"""Files that are still to be cut, and what they may have until then."""


def test_no_file_is_longer_than_400_lines() -> None:
    """What is over is named, with its lines."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    assert len(paths) > 300, "the files were not found"
    lines = {str(path.relative_to(ROOT)): len(path.read_bytes().splitlines()) for path in paths}
    assert {path: n for path, n in lines.items() if n > STILL_LONG.get(path, MOST)} == {}
