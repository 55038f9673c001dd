"""Reads the files of a commit, by `git ls-tree` and one `git cat-file --batch` for the new contents.

Owns the last tree that was read, and its blobs. `adapter_git_tree` has the rules on what a tree may contain.
"""

from __future__ import annotations

from types import MappingProxyType

from eventd.desired.model import Tree, TreeFile
from eventd.kernel.model.errors import PermanentError
from eventd.repository.adapter_git_command import GitCommand
from eventd.repository.adapter_git_tree import Listing, TreeLimits, parse_batch, parse_listing


class TreeReader:
    """Reads commits. Times in seconds."""

    def __init__(self, limits: TreeLimits, timeout: float) -> None:
        self._limits = limits
        self._timeout = timeout
        self._tree: Tree | None = None
        self._blobs: dict[str, bytes] = {}

    def last(self, commit: str) -> Tree | None:
        """Return the tree of a commit if it was the last to be read."""
        return self._tree if self._tree is not None and self._tree.commit == commit else None

    async def read(self, git: GitCommand, commit: str) -> Tree:
        """Read a commit; blobs that were in the last tree are not read again.

        Raises PermanentError(reason="commit-missing" | "tree-too-large" | "repository-damaged").
        """
        listing = await self._list(git, commit)
        blobs = await self._read(git, listing)
        files = {
            entry.path: TreeFile(entry.path, blobs[entry.object_id], entry.executable)
            for entry in listing.entries
        }
        self._blobs = blobs
        self._tree = Tree(commit, MappingProxyType(files), listing.refused)
        return self._tree

    async def _list(self, git: GitCommand, commit: str) -> Listing:
        done = await git.run(
            "ls-tree",
            "-r",
            "-z",
            "-l",
            "--full-tree",
            commit,
            timeout=self._timeout,
            output_limit=min(self._limits.files * 1200, 64 << 20),
        )
        if not done.ok:
            raise PermanentError(f"cannot read the commit {commit}: {done.text()}", reason="commit-missing")
        return parse_listing(done.stdout, self._limits)

    async def _read(self, git: GitCommand, listing: Listing) -> dict[str, bytes]:
        """Return the contents by object id; one git process reads all new ones."""
        wanted = {e.object_id: e for e in listing.entries if e.object_id not in self._blobs}
        fresh: dict[str, bytes] = {}
        if wanted:
            done = await git.run(
                "cat-file",
                "--batch",
                timeout=self._timeout,
                stdin="".join(f"{object_id}\n" for object_id in wanted).encode(),
                output_limit=self._limits.total_size + 200 * len(wanted),
            )
            fresh = parse_batch(done.require(reason="repository-damaged").stdout, wanted.values())
        ids = {entry.object_id for entry in listing.entries}
        return {i: fresh[i] if i in fresh else self._blobs[i] for i in ids}
