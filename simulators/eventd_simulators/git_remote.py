"""A simulated git remote: commits are trees in memory, a push makes one, and history can be rewritten."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventd.desired.model import Tree, TreeFile

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit."""

    id: str
    parent: str
    files: Mapping[str, bytes]


@dataclass(slots=True)
class GitRemote:
    """One branch, and every commit that was ever pushed."""

    commits: dict[str, Commit] = field(default_factory=dict)
    head: str = ""
    down: bool = False
    """It cannot be reached."""
    hangs: float = 0.0
    """It accepts connections and sends nothing: seconds after which a fetch gives up."""

    def push(self, files: Mapping[str, str | bytes], *, force_from: str | None = None) -> str:
        """Commit exactly these files, on the head or on `force_from`; return the commit's id."""
        content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        parent = self.head if force_from is None else force_from
        total = hashlib.sha1(f"{len(self.commits)} {parent}\n".encode(), usedforsecurity=False)
        for path in sorted(content):
            total.update(f"{path}\0{len(content[path])}\0".encode() + content[path])
        commit = Commit(total.hexdigest(), parent, content)
        self.commits[commit.id] = commit
        self.head = commit.id
        return commit.id

    def change(self, changes: Mapping[str, str | bytes | None]) -> str:
        """Commit the head's files with some changed (None: deleted); return the commit's id."""
        files: dict[str, str | bytes] = dict(self.files)
        for path, text in changes.items():
            if text is None:
                files.pop(path, None)
            else:
                files[path] = text
        return self.push(files)

    @property
    def files(self) -> Mapping[str, bytes]:
        """The head's files."""
        return self.commits[self.head].files if self.head else {}

    def is_ancestor(self, old: str, new: str) -> bool:
        """Return whether `new` has `old` in its history."""
        at = new
        while at:
            if at == old:
                return True
            at = self.commits[at].parent
        return False

    def tree(self, commit: str) -> Tree:
        """Return a commit's files."""
        files = self.commits[commit].files
        return Tree(commit, {path: TreeFile(path, files[path]) for path in sorted(files)})
