"""A real git remote in a folder, driven by the git command with nobody's configuration."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventd.platform.processes.process import ServiceAccount
from eventd.repository.adapter_git import GitRepository
from eventd.repository.adapter_git_command import Credentials
from eventd.repository.adapter_git_options import GitOptions

NOBODY = ServiceAccount(65534, 65534)
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
}


def command(*argv: str, cwd: Path, stdin: bytes = b"", **more: str) -> bytes:
    """Run a command of the set-up; its failure fails the test."""
    done = subprocess.run(
        argv, cwd=cwd, input=stdin, capture_output=True, env={**ENVIRONMENT, **more}, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@dataclass
class Remote:
    """A bare repository; commits are made straight in it."""

    path: Path
    branch: str = "main"

    @classmethod
    def make(cls, path: Path, branch: str = "main") -> Remote:
        path.mkdir(parents=True)
        command("git", "init", "-q", "--bare", "--initial-branch", branch, ".", cwd=path)
        return cls(path, branch)

    def git(self, *arguments: str, stdin: bytes = b"", **more: str) -> str:
        """Run git in it and return what it prints."""
        return command("git", *arguments, cwd=self.path, stdin=stdin, **more).decode().strip()

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)

    def raw_tree(self, *entries: tuple[str, bytes, str]) -> str:
        """Write a tree object byte by byte, whatever git thinks of it: (mode, name, object id)."""
        raw = b"".join(m.encode() + b" " + name + b"\0" + bytes.fromhex(o) for m, name, o in entries)
        return self.git("hash-object", "-t", "tree", "--literally", "-w", "--stdin", stdin=raw)

    def tree(self, files: dict[str, bytes]) -> str:
        """Write a tree of ordinary files."""
        rows = "".join(f"100644 {self.blob(content)}\t{name}\0" for name, content in files.items())
        index: Any = {"GIT_INDEX_FILE": str(self.path / "scratch-index")}
        self.git("read-tree", "--empty", **index)
        self.git("update-index", "-z", "--index-info", stdin=rows.encode(), **index)
        return self.git("write-tree", **index)

    def commit(self, tree: str | dict[str, bytes], *parents: str, sign: Path | None = None) -> str:
        """Commit a tree on top of the branch (or of `parents`) and move the branch to it."""
        made = tree if isinstance(tree, str) else self.tree(tree)
        on = parents or tuple(
            self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{self.branch}").split()
        )
        options = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={sign}"] if sign else []
        commit = self.git(
            *options,
            "commit-tree",
            *(["-S"] if sign else []),
            "-m",
            "change",
            *(p for i in on for p in ("-p", i)),
            made,
        )
        self.git("update-ref", f"refs/heads/{self.branch}", commit)
        return commit

    def root_commit(self, tree: str | dict[str, bytes]) -> str:
        """Rewrite: a commit without parents becomes the branch."""
        self.git("update-ref", "-d", f"refs/heads/{self.branch}")
        return self.commit(tree)

    def open(self, folder: Path, **options: Any) -> GitRepository:
        """Return eventd's side, with its copy in `folder`; as nobody if we are root."""
        options.setdefault("account", NOBODY if os.geteuid() == 0 else None)
        options.setdefault("credentials", Credentials())
        processes = options.pop("processes", None)
        return GitRepository(
            GitOptions(
                path=str(folder / "copy"),
                url=options.pop("url", self.path.as_uri()),
                branch=options.pop("branch", self.branch),
                runtime=str(folder / "run"),
                **options,
            ),
            processes,
        )


@contextlib.contextmanager
def public_folder() -> Iterator[Path]:
    """Make a temporary folder that another account can pass through.

    Not below pytest's own: every start of another pytest takes the group's and others' rights from that.
    """
    folder = Path(tempfile.mkdtemp(prefix="eventd-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
