"""Units and stacks outside of any workload. They are errors: they look deployable, but nothing deploys them.

Pure. Owns which names look like a unit or a stack, and the ignore file by which a repository marks a folder as not
meant for eventd. `eventd.desired.model_survey` passes in the paths that belong to no workload.

    stacks/media/compose.yaml     error: it is not in a workload
    stacks/.eventdignore          empty: nothing below stacks/ is meant for eventd
    .eventdignore                 patterns (fnmatch, a line each, relative to its folder): dev/compose.yaml
"""

from __future__ import annotations

import re
from collections import defaultdict
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from eventd.compose.model_file import NAMES as STACKS
from eventd.desired.model_misspellings import near_file, near_unit
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.names import nearest
from eventd.unitfiles.model_companions import COMPANIONS
from eventd.unitfiles.model_quadlet import KINDS, split

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from eventd.desired.model import TreeFile

IGNORE = ".eventdignore"
STRAY = "stray-file"
_STACK = re.compile(r"(?:docker-)?compose[.-][\w.-]*\.ya?ml|[\w.-]*\.compose\.ya?ml", re.ASCII)
"""`docker-compose.prod.yml`, `media.compose.yaml`: variants of the name, which nothing reads."""
_EXTENSIONS = (*KINDS, *COMPANIONS)
_NAMED = 3
"""How many files of a folder a message names."""


def looks_deployable(base: str) -> bool:
    """Return whether a file's name is, or nearly is, that of a unit, a Quadlet file or a compose file."""
    if split(base)[1] in _EXTENSIONS or base in STACKS or _STACK.fullmatch(base):
        return True
    return near_unit(base, _EXTENSIONS) is not None or any(near_file(base, stack) for stack in STACKS)


def strays(unplaced: Sequence[str], files: Mapping[str, TreeFile]) -> Iterator[Diagnostic]:
    """Yield an error for each top-level folder that contains something deployable, and for each such top-level file.

    `unplaced`: the paths that eventd does not read. Paths named by an ignore file are left out, and so are hidden
    folders (`.github/`, `.devcontainer/`).
    """
    ignored = {path.removesuffix(IGNORE): file.content for path, file in files.items() if _is_ignore(path)}
    if not ignored.get("", b"x").strip():
        message = f"an empty {IGNORE} at the top would hide every mistake in the repository"
        yield Diagnostic(
            Severity.ERROR, IGNORE, 0, "", message, "list what to ignore, one pattern a line", STRAY
        )
        del ignored[""]
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path in unplaced:
        if path.startswith(".") or "/." in path or not looks_deployable(path.rpartition("/")[2]):
            continue
        if not _is_ignored(path, ignored):
            found[path.partition("/")[0]].append(path)
    for top, paths in sorted(found.items()):
        yield _error(top, sorted(paths))


def _is_ignore(path: str) -> bool:
    return path == IGNORE or path.endswith(f"/{IGNORE}")


def _is_ignored(path: str, ignored: Mapping[str, bytes]) -> bool:
    for folder, content in ignored.items():
        if not path.startswith(folder):
            continue
        lines = [line.strip() for line in content.decode("utf-8", "replace").splitlines()]
        patterns = [line for line in lines if line and not line.startswith("#")]
        rest = path[len(folder) :]
        if not patterns or any(
            fnmatchcase(rest, each) or rest.startswith(each.rstrip("/") + "/") for each in patterns
        ):
            return True
    return False


def _error(top: str, paths: list[str]) -> Diagnostic:
    first = paths[0]
    more = f" ({_list(paths)})" if len(paths) > 1 else ""
    base = first.rpartition("/")[2]
    meant = near_unit(base, _EXTENSIONS) or (nearest(base, STACKS, 0.9) if base not in STACKS else None)
    rename = f" as {meant}" if meant and meant != base and split(base)[1] not in _EXTENSIONS else ""
    way_out = (
        f"move it to workloads/NAME/{rename}" if len(paths) == 1 else "a workload is a folder workloads/NAME/"
    )
    mark = f"{top}/{IGNORE} (empty)" if "/" in first else f"{IGNORE} (with {base} in it)"
    return Diagnostic(
        Severity.ERROR,
        first,
        0,
        "",
        f"it is not in a workload, so nothing deploys it{more}",
        f"{way_out}; if it is not meant for eventd, say so in a file {mark}",
        STRAY,
    )


def _list(paths: list[str]) -> str:
    shown = ", ".join(paths[1 : _NAMED + 1])
    return f"nor {shown}" + (f" and {len(paths) - _NAMED - 1} more" if len(paths) > _NAMED + 1 else "")
