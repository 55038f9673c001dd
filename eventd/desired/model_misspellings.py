"""Finds misspelt names of files and folders that eventd reads: without a warning they would just be ignored.

Pure. A misspelt `workloads/` is the worst: every workload disappears from the desired state, so nothing may be removed
while there is one. Next: `eventd.desired.model_survey` and `eventd.desired.model_content` add the findings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventd.kernel.model.names import nearest
from eventd.unitfiles.model_quadlet import split

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

NO_WORKLOADS, MISSPELLING = "no-workloads", "near-miss"
OPTIONS_FILE, STORAGE_FILE = "workload.toml", "storage.toml"
_FOLDER = 0.85
"""The required similarity: it matches `workload`, `worklaods` and `host`, but not `posts` with `hosts`."""
_FILE = 0.9
"""The required similarity of file names: it matches `workload.tml`, but not `workload.toml.bak`."""
_SHORTEST = 5
"""The required similarity of extensions: `.patch` does not match `.path`."""


def near_folder(paths: Iterable[str], right: str) -> str | None:
    """Return the top-level folder whose name is nearly `right` and that has folders in it; None if there is none."""
    folders = {path.split("/", 1)[0] for path in paths if path.count("/") >= 2}
    found = sorted(name for name in folders if name != right and nearest(name, (right,), _FOLDER))
    return found[0] if found else None


def near_hosts(paths: Iterable[str]) -> str | None:
    """Return a host's file in a folder whose name is nearly `hosts`; None if there is none."""
    for path in sorted(paths):
        folder, slash, name = path.partition("/")
        right = slash and "/" not in name and name.endswith(".toml") and folder != "hosts"
        if right and nearest(folder, ("hosts",), _FOLDER):
            return path
    return None


def near_file(base: str, right: str) -> bool:
    """Return whether a file's name is nearly, but not quite, `right`."""
    return base != right and nearest(base, (right,), _FILE) is not None


def near_unit(base: str, extensions: Collection[str]) -> str | None:
    """Return the intended name of a file, if its extension is nearly one of these."""
    stem, extension = split(base)
    if extension in extensions or not stem:
        return None
    long = [each for each in extensions if min(len(each), len(extension)) >= _SHORTEST]
    found = nearest(extension, extensions, 1.0) or nearest(extension, long, _FOLDER)
    return f"{stem}.{found}" if found else None
