"""Fetches one branch from its remote into `refs/eventd/incoming`, and translates the failures of that.

Owns no state. It does not verify what it fetched: `eventd.repository.adapter_git` does.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import DeadlineError, EventdError, PermanentError
from eventd.platform.processes import process
from eventd.repository.adapter_git_command import GitCommand
from eventd.repository.adapter_git_options import CURRENT, INCOMING, GitOptions
from eventd.repository.adapter_git_remote import Remote, Transport, mask, translate
from eventd.repository.model_facts import BRANCH_MISSING

if TYPE_CHECKING:
    from eventd.platform.processes.unit_process import Processes


# A killed git leaves these behind, and every later git fails on them.
_STALE_LOCKS = (
    "HEAD.lock",
    "config.lock",
    "packed-refs.lock",
    "shallow.lock",
    f"{INCOMING}.lock",
    f"{CURRENT}.lock",
)


def is_locked(said: str) -> bool:
    """Tell whether git failed on a lock file that is there already."""
    return ".lock': File exists" in said


async def remove_stale_locks(git: GitCommand) -> None:
    """Remove the locks of a git that was killed. The caller knows that no other git writes here.

    As the account: root must not remove anything in a folder that another account controls.
    """
    locks = [f"{git.path}/{name}" for name in _STALE_LOCKS]
    await process.run(["rm", "-f", "--", *locks], timeout=10, identity=git.account)


class BranchFetcher:
    """Fetches one branch. `processes`: where commands run that ask the network; None: where all others do."""

    def __init__(self, options: GitOptions, remote: Remote, branch: str, processes: Processes | None) -> None:
        self._options = options
        self._remote = remote
        self._branch = branch
        self._processes = processes

    async def fetch(self, git: GitCommand) -> None:
        """Bring `refs/eventd/incoming` up to date. Raises as `GitRepository.fetch` says."""
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
                    self._remote.url,
                    f"+refs/heads/{self._branch}:{INCOMING}",
                    private=private,
                )
                if done.ok:
                    return
                said = done.text()
                if "couldn't find remote ref" in said:
                    raise await self._branch_missing(git, private)
            if attempt == 1 and is_locked(said):
                await remove_stale_locks(git)
                continue
            raise self._failed(said)

    async def _ask_remote(self, git: GitCommand, *arguments: str, private: Path) -> process.Completed:
        """Run a git command that talks to the remote. Raises DeadlineError(reason="remote-timeout")."""
        timeout = self._options.fetch_timeout
        try:
            config = git.authentication(private)
            if self._processes is None or self._remote.transport is Transport.FILE:
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

    async def _branch_missing(self, git: GitCommand, private: Path) -> EventdError:
        done = await self._ask_remote(git, "ls-remote", "--heads", "--", self._remote.url, private=private)
        if not done.ok:
            return self._failed(done.text())
        rows = done.stdout.decode("utf-8", "replace").splitlines()
        names = sorted(row.partition("refs/heads/")[2] for row in rows)
        listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        return PermanentError(
            f"{mask(self._options.url)} has no branch {self._branch}",
            reason=BRANCH_MISSING,
            hint=f"its branches: {listed}; push {self._branch}, or set branch in [repository] of eventd.toml"
            if names
            else f"it has no branches: push a commit to {self._branch}",
        )

    def _failed(self, said: str) -> EventdError:
        return translate(said, self._options.url, self._options.credentials.secrets)
