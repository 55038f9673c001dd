"""The git repository: fetch one branch, verify its head, and read a commit's files.

Owns a bare repository that belongs to an unprivileged account, and two refs in it. `refs/eventd/incoming` is the head
of the remote. `refs/eventd/current` is the last head that passed the signature and ancestry checks; only that one is
handed on. It does not decide what to deploy: a run asks for `tree(commit)`.

Every git process runs as that account (`eventd.repository.adapter_git_command`), so bytes from the network are never
parsed by root. There is no work tree.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

from eventd.desired.model import Tree
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.repository import model_object_ids as object_ids
from eventd.repository.adapter_git_command import GitCommand
from eventd.repository.adapter_git_fetch import BranchFetcher, is_locked, remove_stale_locks
from eventd.repository.adapter_git_files import TreeReader
from eventd.repository.adapter_git_folder import make_folder
from eventd.repository.adapter_git_options import CURRENT, INCOMING, GitOptions
from eventd.repository.adapter_git_remote import Transport, check_branch, parse_remote
from eventd.repository.ports import Fetched

if TYPE_CHECKING:
    from eventd.platform.processes.unit_process import Processes

_OBJECT_ID = re.compile(object_ids.WHOLE)
_ABBREVIATED = re.compile(object_ids.ABBREVIATED)


class GitRepository:
    """The `Repository` port, using the git command line. Concurrent calls are queued.

    Raises PermanentError(reason="bad-url" | "secret-in-url" | "bad-branch" | "no-allowed-signers").
    """

    def __init__(self, options: GitOptions, processes: Processes | None = None) -> None:
        """`processes`: runs the commands that use the network; None: run them like all others."""
        self.remote = parse_remote(options.url, allow_http=options.allow_http)
        self.branch = check_branch(options.branch)
        if options.require_signed and not options.allowed_signers:
            raise PermanentError(
                "signed commits are required, but no allowed signers are configured",
                reason="no-allowed-signers",
            )
        self._options = options
        self._fetcher = BranchFetcher(options, self.remote, self.branch, processes)
        self._reader = TreeReader(options.limits, options.read_timeout)
        self._lock = asyncio.Lock()
        """Held for milliseconds, while the repository on disk is read or its refs are verified."""
        self._fetching = asyncio.Lock()
        """Held for a whole fetch. Reading stays possible meanwhile, so a remote that hangs does not delay a boot."""
        self._ready = False
        self._allowed_rewrites: set[str] = set()
        self._known = ""
        """The last known value of `CURRENT`."""

    async def fetch(self) -> Fetched:
        """Update the branch and return its verified head; `previous` is the head before.

        Raises TemporaryError(reason="remote-unreachable" | "certificate" | "disk-full" | "fetch-failed"),
        DeadlineError, and PermanentError(reason="authentication" | "host-key" | "repository-missing" |
        "branch-missing" | "malformed-objects" | "repository-too-large" | "unsigned" | "rewritten" | …). After any of
        these, the current commit is unchanged.
        """
        async with self._fetching:
            async with self._lock:
                git = self._git()
                await self._make_repository(git)
            await self._fetcher.fetch(git)
            async with self._lock:
                return await self._judge(git)

    async def _judge(self, git: GitCommand) -> Fetched:
        """Accept the fetched head, or raise why not."""
        incoming, current, descends = await self._heads(git)
        if self._options.require_signed:
            await self._verify_signature(git, incoming)
        if current and not descends and self._options.refuse_rewrites:
            await self._verify_ancestry(git, current, incoming)
        if incoming != current:
            await self._accept(git, current, incoming)
        self._allowed_rewrites.discard(incoming)
        self._known = incoming
        return Fetched(incoming, current)

    async def current(self) -> str:
        """Return the last accepted commit, without using the network; empty if none.

        Its signature is checked again, because a key may have been revoked: PermanentError(reason="unsigned").
        """
        async with self._lock:
            git = self._git()
            await self._make_repository(git)
            current = self._known = (await self._refs(git)).get(CURRENT, "")
            if current and self._options.require_signed:
                await self._verify_signature(git, current)
            return current

    def allow_rewrite(self, commit: str) -> None:
        """Let the next fetch accept this commit even if it does not descend from the current one."""
        if not _OBJECT_ID.fullmatch(commit):
            raise PermanentError(f"{commit!r} is not a full commit id", reason="bad-commit")
        self._allowed_rewrites.add(commit)

    async def tree(self, commit: str) -> Tree:
        """Read all files of a commit; blobs of the last tree are reused.

        Raises PermanentError(reason="bad-commit" | "commit-missing" | "tree-too-large" |
        "repository-damaged").
        """
        if not _OBJECT_ID.fullmatch(commit):
            raise PermanentError(f"{commit!r} is not a full commit id", reason="bad-commit")
        async with self._lock:
            if (last := self._reader.last(commit)) is not None:
                return last
            git = self._git()
            await self._make_repository(git)
            return await self._reader.read(git, commit)

    async def resolve(self, text: str) -> str:
        """Return the full id of the ancestor of the current commit whose id begins with `text`.

        Other commits cannot be named, because the repository also contains heads that were fetched and refused. Raises
        PermanentError(reason="no-such-commit").
        """
        if not _ABBREVIATED.fullmatch(text):
            raise PermanentError(
                f"{text!r} is not a commit id", reason="no-such-commit", hint="give at least 7 hex digits"
            )
        async with self._lock:
            git = self._git()
            await self._make_repository(git)
            current = (await self._refs(git)).get(CURRENT, "")
            found = await git.run(
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                f"{text}^{{commit}}",
                timeout=self._options.read_timeout,
            )
            commit = found.stdout.decode().strip() if found.ok else ""
            if commit and current:
                inside = await git.run(
                    "merge-base", "--is-ancestor", commit, current, timeout=self._options.read_timeout
                )
                if inside.ok:
                    return commit
        raise PermanentError(
            f"the history of {self.branch} has no commit {text}",
            reason="no-such-commit",
            hint="git log --oneline lists them",
        )

    def watch_paths(self) -> tuple[str, ...]:
        """Return the paths that a push to a local remote changes, for inotify; empty for other remotes.

        The folder of loose refs, the packed refs, and the table list of the reftable format
        (gitrepository-layout(5)); they need not exist yet. All branches are watched, not just ours: if ours is missing,
        the error lists the others, and a push to one changes that list.
        """
        if self.remote.transport is not Transport.FILE:
            return ()
        folder = Path(self.remote.path)
        if (folder / ".git").is_dir():
            folder /= ".git"
        names = ("refs/heads", "packed-refs", "reftable/tables.list")
        return tuple(str(folder / name) for name in names)

    async def tidy(self) -> None:
        """Pack loose objects, if there are many. Call it after a run; takes up to `fetch_timeout`."""
        async with self._fetching, self._lock:
            git = self._git()
            await self._make_repository(git)
            done = await git.run(
                "gc", "--auto", "--quiet", timeout=self._options.fetch_timeout, config={"gc.auto": "2000"}
            )
            done.require(reason="git-failed")

    def _git(self) -> GitCommand:
        options = self._options
        signers = b""
        if options.require_signed:
            assert options.allowed_signers is not None
            try:
                signers = Path(options.allowed_signers).read_bytes()
            except OSError as error:
                message = f"cannot read {options.allowed_signers}: {error.strerror}"
                raise PermanentError(message, reason="no-allowed-signers") from error
        return GitCommand(
            options.path,
            self.remote,
            options.account,
            options.runtime,
            options.credentials,
            signers,
            options.environment,
            options.pack_limit,
        )

    async def _ask(self, git: GitCommand, *arguments: str) -> bytes:
        done = await git.run(*arguments, timeout=self._options.read_timeout)
        if not done.ok and is_locked(done.text()):
            # One git of ours writes at a time, and those of a process before this one ended with it.
            await remove_stale_locks(git)
            done = await git.run(*arguments, timeout=self._options.read_timeout)
        return done.require(reason="git-failed").stdout

    async def _make_repository(self, git: GitCommand) -> None:
        """Create the folder as root and the repository in it as the account; both are checked once per process."""
        if self._ready:
            return
        if make_folder(git.path, git.account):
            await self._ask(git, "init", "--quiet", "--bare", "--template=", "--initial-branch=eventd")
        self._ready = True

    async def _refs(self, git: GitCommand, *, contains: str = "") -> dict[str, str]:
        """Return our refs that are commits; with `contains`, only those that have that commit in their history."""
        arguments = ["--format=%(refname) %(objecttype) %(objectname)", "refs/eventd/"]
        if contains:
            arguments.insert(0, f"--contains={contains}")
        done = await git.run("for-each-ref", *arguments, timeout=self._options.read_timeout)
        if contains and not done.ok:
            return {}  # the commit is gone, or another ref is not a commit: list the refs without it
        rows = (row.split(" ") for row in done.require(reason="git-failed").stdout.decode().splitlines())
        return {name: object_id for name, kind, object_id in rows if kind == "commit"}

    async def _heads(self, git: GitCommand) -> tuple[str, str, bool]:
        """Return incoming, current (or empty), and whether incoming is known to descend from current.

        In the usual case one process answers all three.
        """
        if self._known:
            refs = await self._refs(git, contains=self._known)
            if refs.get(CURRENT) == self._known and INCOMING in refs:
                return refs[INCOMING], self._known, True
        refs = await self._refs(git)
        if INCOMING not in refs:
            raise PermanentError(f"the branch {self.branch} is not a commit", reason="malformed-objects")
        current = refs.get(CURRENT, "")
        return refs[INCOMING], current, refs[INCOMING] == current

    async def _accept(self, git: GitCommand, current: str, incoming: str) -> None:
        """Make a verified head the current one, and read its files at the same time: they are needed next."""
        accepted, read = await asyncio.gather(
            # Passing the old value makes this a compare-and-swap.
            self._ask(git, "update-ref", CURRENT, incoming, current or "0" * len(incoming)),
            self._reader.read(git, incoming),
            return_exceptions=True,
        )
        if isinstance(accepted, BaseException):
            raise accepted
        if isinstance(read, BaseException) and not isinstance(read, EventdError):
            raise read  # an EventdError is about the content: `tree` will hit it again, and raise it

    async def _verify_signature(self, git: GitCommand, commit: str) -> None:
        with git.private_files() as private:
            done = await git.run(
                "verify-commit",
                commit,
                timeout=self._options.read_timeout,
                config={"gpg.ssh.allowedSignersFile": str(private / "allowed_signers")},
                private=private,
            )
        # Only the exit status counts: git prints `Good "git" signature` even for a key that is not listed.
        if not done.ok:
            said = "; ".join(done.text().splitlines()) or "it has no signature"
            raise PermanentError(
                f"the commit {commit} is not signed by an allowed signer: {said}",
                reason="unsigned",
                hint=f"sign it with a key of {self._options.allowed_signers} and push again",
            )

    async def _verify_ancestry(self, git: GitCommand, current: str, incoming: str) -> None:
        if incoming in self._allowed_rewrites:
            return
        done = await git.run(
            "merge-base", "--is-ancestor", current, incoming, timeout=self._options.read_timeout
        )
        if done.status == 1:
            raise PermanentError(
                f"the branch {self.branch} was rewritten: {incoming} does not descend from {current}",
                reason="rewritten",
                hint=f"if that is intended: eventctl sync --allow-rewrite {incoming}",
            )
        done.require(reason="repository-damaged")
