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
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from eventd.desired.model import Tree, TreeFile
from eventd.kernel.model.errors import DeadlineError, EventdError, PermanentError
from eventd.platform import process
from eventd.repository import model_object_ids as object_ids
from eventd.repository.adapter_git_command import Credentials, GitCommand
from eventd.repository.adapter_git_folder import make_folder
from eventd.repository.adapter_git_remote import Transport, check_branch, mask, parse_remote, translate
from eventd.repository.adapter_git_tree import Listing, TreeLimits, parse_batch, parse_listing
from eventd.repository.model_facts import BRANCH_MISSING
from eventd.repository.ports import Fetched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventd.platform.unit_process import Processes

INCOMING = "refs/eventd/incoming"
CURRENT = "refs/eventd/current"
_OBJECT_ID = re.compile(object_ids.WHOLE)
_ABBREVIATED = re.compile(object_ids.ABBREVIATED)
# A killed git leaves these behind, and every later git fails on them. None of our other git processes runs now.
_STALE_LOCKS = (
    "HEAD.lock",
    "config.lock",
    "packed-refs.lock",
    "shallow.lock",
    f"{INCOMING}.lock",
    f"{CURRENT}.lock",
)


@dataclass(frozen=True, slots=True)
class GitOptions:
    """The configuration of the repository. Times in seconds, sizes in bytes."""

    path: str
    """Path of the bare repository; its parent belongs to root."""
    url: str
    branch: str = "main"
    account: process.ServiceAccount | None = None
    """The account that fetches and reads; None: the calling user (not root, or a test on a laptop)."""
    runtime: str = "/run/eventd"
    """Folder for private folders; the account must be able to enter it (0755)."""
    credentials: Credentials = field(default_factory=Credentials)
    require_signed: bool = False
    allowed_signers: str | None = None
    """Path of an allowed_signers file (ssh-keygen(1)), for `require_signed`."""
    refuse_rewrites: bool = True
    """Refuse a head that does not descend from the current one, until `allow_rewrite`."""
    fetch_timeout: float = 120.0
    read_timeout: float = 30.0
    limits: TreeLimits = field(default_factory=TreeLimits)
    pack_limit: int = 1 << 30
    allow_http: bool = False
    """Accept plain http, for tests."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """For a proxy: `https_proxy`, `no_proxy`, …"""


class GitRepository:
    """The `Repository` port, using the git command line. Concurrent calls are queued.

    Raises PermanentError(reason="bad-url" | "secret-in-url" | "bad-branch" | "no-allowed-signers").
    """

    def __init__(self, options: GitOptions, processes: Processes | None = None) -> None:
        """`processes`: runs the commands that use the network; None: run them like all others."""
        self._processes = processes
        self.remote = parse_remote(options.url, allow_http=options.allow_http)
        self.branch = check_branch(options.branch)
        if options.require_signed and not options.allowed_signers:
            raise PermanentError(
                "signed commits are required, but no allowed signers are configured",
                reason="no-allowed-signers",
            )
        self._options = options
        self._lock = asyncio.Lock()
        """Held for milliseconds, while the repository on disk is read or its refs are verified."""
        self._fetching = asyncio.Lock()
        """Held for a whole fetch. Reading stays possible meanwhile, so a remote that hangs does not delay a boot."""
        self._ready = False
        self._allowed_rewrites: set[str] = set()
        self._tree: Tree | None = None
        self._blobs: dict[str, bytes] = {}
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
            await self._fetch_incoming(git)
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
            if self._tree is not None and self._tree.commit == commit:
                return self._tree
            git = self._git()
            await self._make_repository(git)
            return await self._read_tree(git, commit)

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
        return done.require(reason="git-failed").stdout

    async def _make_repository(self, git: GitCommand) -> None:
        """Create the folder as root and the repository in it as the account; both are checked once per process."""
        if self._ready:
            return
        if make_folder(git.path, git.account):
            await self._ask(git, "init", "--quiet", "--bare", "--template=", "--initial-branch=eventd")
        self._ready = True

    async def _fetch_incoming(self, git: GitCommand) -> None:
        for attempt in (1, 2):
            with git.private_files() as private:
                done = await self._ask_remote(
                    git,
                    "fetch",
                    "--quiet",
                    "--force",
                    "--no-tags",
                    "--no-recurse-submodules",
                    "--no-write-fetch-head",
                    "--no-auto-maintenance",
                    "--",
                    self.remote.url,
                    f"+refs/heads/{self.branch}:{INCOMING}",
                    private=private,
                )
                if done.ok:
                    return
                said = done.text()
                if "couldn't find remote ref" in said:
                    raise await self._branch_missing(git, private)
            if attempt == 1 and ".lock': File exists" in said:
                # As the account: root must not remove anything in a folder that another account controls.
                locks = [f"{git.path}/{name}" for name in _STALE_LOCKS]
                await process.run(["rm", "-f", "--", *locks], timeout=10, identity=git.account)
                continue
            raise self._failed(said)

    async def _ask_remote(self, git: GitCommand, *arguments: str, private: Path) -> process.Completed:
        """Run a git command that talks to the remote. Raises DeadlineError(reason="remote-timeout")."""
        timeout = self._options.fetch_timeout
        try:
            config = git.authentication(private)
            if self._processes is None or self.remote.transport is Transport.FILE:
                return await git.run(*arguments, timeout=timeout, config=config, private=private)
            return await git.run_apart(
                self._processes, *arguments, timeout=timeout, config=config, private=private
            )
        except DeadlineError as error:
            raise DeadlineError(
                f"cannot fetch from {mask(self._options.url, self._options.credentials.secrets)}:"
                f" git {arguments[0]} did not end within {timeout:g} s",
                reason="remote-timeout",
                hint="the remote does not answer, or is too slow: check it and the network;"
                " [repository] timeout in eventd.toml sets the limit",
            ) from error

    def _failed(self, said: str) -> EventdError:
        return translate(said, self._options.url, self._options.credentials.secrets)

    async def _branch_missing(self, git: GitCommand, private: Path) -> EventdError:
        done = await self._ask_remote(git, "ls-remote", "--heads", "--", self.remote.url, private=private)
        if not done.ok:
            return self._failed(done.text())
        rows = done.stdout.decode("utf-8", "replace").splitlines()
        names = sorted(row.partition("refs/heads/")[2] for row in rows)
        listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        return PermanentError(
            f"{mask(self._options.url)} has no branch {self.branch}",
            reason=BRANCH_MISSING,
            hint=f"its branches: {listed}; push {self.branch}, or set branch in [repository] of eventd.toml"
            if names
            else f"it has no branches: push a commit to {self.branch}",
        )

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
            self._read_tree(git, incoming),
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

    async def _read_tree(self, git: GitCommand, commit: str) -> Tree:
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
        limits = self._options.limits
        done = await git.run(
            "ls-tree",
            "-r",
            "-z",
            "-l",
            "--full-tree",
            commit,
            timeout=self._options.read_timeout,
            output_limit=min(limits.files * 1200, 64 << 20),
        )
        if not done.ok:
            raise PermanentError(f"cannot read the commit {commit}: {done.text()}", reason="commit-missing")
        return parse_listing(done.stdout, limits)

    async def _read(self, git: GitCommand, listing: Listing) -> dict[str, bytes]:
        """Return the contents by object id; one git process reads all new ones."""
        wanted = {e.object_id: e for e in listing.entries if e.object_id not in self._blobs}
        fresh: dict[str, bytes] = {}
        if wanted:
            done = await git.run(
                "cat-file",
                "--batch",
                timeout=self._options.read_timeout,
                stdin="".join(f"{object_id}\n" for object_id in wanted).encode(),
                output_limit=self._options.limits.total_size + 200 * len(wanted),
            )
            fresh = parse_batch(done.require(reason="repository-damaged").stdout, wanted.values())
        ids = {entry.object_id for entry in listing.entries}
        return {i: fresh[i] if i in fresh else self._blobs[i] for i in ids}
