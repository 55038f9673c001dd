"""The content of a commit: parses `git ls-tree` and `git cat-file --batch`, and refuses unsafe entries.

Owns the rules on modes, names and sizes. Pure; nothing is written, and a tree is never checked out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REGULAR = b"100644"
EXECUTABLE = b"100755"
_REGULAR_MODES = (REGULAR, b"100664")  # the latter was written by git before 2005
_REFUSED_MODES = {b"120000": "symlink", b"160000": "submodule"}


@dataclass(frozen=True, slots=True)
class TreeLimits:
    """Limits on what is read of a repository. Sizes in bytes."""

    files: int = 20_000
    file_size: int = 1 << 20
    total_size: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """A file that may be read."""

    path: str
    object_id: str
    size: int
    executable: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A commit's tree: the files to read, and the refused ones."""

    entries: tuple[Entry, ...]
    refused: Mapping[str, str]


def parse_listing(output: bytes, limits: TreeLimits) -> Listing:
    """Parse the output of `git ls-tree -r -z -l --full-tree COMMIT`.

    Raises PermanentError(reason="tree-too-large") if the limits on the whole tree are exceeded.
    """
    rows = output.split(b"\0")[:-1]
    if len(rows) > limits.files:
        raise _too_large(f"{len(rows)} files, and the limit is {limits.files}")
    entries: dict[str, Entry] = {}
    refused: dict[str, str] = {}
    for row in rows:
        fields, _, raw = row.partition(b"\t")
        mode, _, object_id, size = fields.split()
        path, why = _judge_name(raw)
        if not why:
            why = _judge_kind(mode, size, limits)
        if not why and path in entries:
            # A hand-made tree, which fsck refuses on fetch. Take neither of the two.
            del entries[path]
            why = "listed twice"
        if why or path in refused:
            refused.setdefault(path, why)
        else:
            entries[path] = Entry(path, object_id.decode(), int(size), mode == EXECUTABLE)
    for path in [path for path in entries if any(parent in entries for parent in _parents(path))]:
        del entries[path]
        refused[path] = "below a path that is a file"
    total = sum(entry.size for entry in entries.values())
    if total > limits.total_size:
        raise _too_large(f"{total} bytes, and the limit is {limits.total_size}")
    return Listing(tuple(entries.values()), refused)


def _too_large(what: str) -> PermanentError:
    return PermanentError(
        f"the commit has {what}",
        reason="tree-too-large",
        hint="keep only configuration in the repository, or raise the limit",
    )


def _judge_name(raw: bytes) -> tuple[str, str]:
    """Return the path as text, and why it is refused (empty: accepted)."""
    try:
        path = raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("utf-8", "backslashreplace"), "name is not UTF-8"
    if not path.isprintable():
        return path.encode("unicode_escape").decode("ascii"), "name has control characters"
    for part in path.split("/"):
        if part in ("", ".", ".."):
            return path, "path leaves the repository"
        if part.lower() == ".git":
            return path, "path goes into .git"
        if len(part.encode()) > 255:
            return path, "name is longer than 255 bytes"
    if len(raw) > 1024:
        return path, "path is longer than 1024 bytes"
    return path, ""


def _judge_kind(mode: bytes, size: bytes, limits: TreeLimits) -> str:
    if mode in _REFUSED_MODES:
        return _REFUSED_MODES[mode]
    if mode != EXECUTABLE and mode not in _REGULAR_MODES:
        return f"mode {mode.decode('ascii', 'replace')}"
    if int(size) > limits.file_size:
        return f"{int(size)} bytes, larger than {limits.file_size}"
    return ""


def _parents(path: str) -> Iterable[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def parse_batch(output: bytes, wanted: Iterable[Entry]) -> dict[str, bytes]:
    """Split the output of `git cat-file --batch`: one answer per wanted object, in the same order.

    Each content is verified against its object id, which git itself does not do when it reads a pack. Raises
    PermanentError(reason="repository-damaged").
    """
    contents: dict[str, bytes] = {}
    position = 0
    for entry in wanted:
        end = output.find(b"\n", position)
        header = output[position:end].split(b" ") if end >= 0 else []
        if header != [entry.object_id.encode(), b"blob", str(entry.size).encode()]:
            raise _damaged(entry)
        content = output[end + 1 : end + 1 + entry.size]
        position = end + 1 + entry.size + 1
        make = hashlib.sha1 if len(entry.object_id) == 40 else hashlib.sha256
        digest = make(b"blob %d\0" % entry.size, usedforsecurity=False)
        digest.update(content)
        if digest.hexdigest() != entry.object_id:
            raise _damaged(entry)
        contents[entry.object_id] = content
    return contents


def _damaged(entry: Entry) -> PermanentError:
    return PermanentError(
        f"the object {entry.object_id} of {entry.path} cannot be read from eventd's copy of the repository",
        reason="repository-damaged",
        hint="stop eventd, move the copy away and start eventd: it will fetch a new copy",
    )
