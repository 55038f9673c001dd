"""What an account already runs: Quadlet files, units, compose projects, podman volumes.

Inspects an account on demand, and moves its files aside when an operator asks for it. Both run as a process with the
account's own rights and a deadline (`adapter_account_script`), because the user controls the home. The output is not
trusted: it is bounded, and checked before use.
"""

from __future__ import annotations

import sys

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eventd.adoption import adapter_account_script as account_script
from eventd.adoption.model_facts import StoreVolume
from eventd.adoption.model_finds import Finds, Moved, Project
from eventd.kernel.model.errors import PermanentError
from eventd.platform.model_facts import Account
from eventd.platform.processes.unit_process import Processes
from eventd.platform.processes.unit_rights import AsUser

_OUTPUT = 4 * 1024 * 1024


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore")


class _Volume(_Model):
    name: str
    project: str = ""
    volume: str = ""


class _Project(_Model):
    name: str
    folder: str = ""
    containers: int = 0


class _Found(_Model):
    quadlets: list[str] = Field(default_factory=list)
    units: list[str] = Field(default_factory=list)
    volumes: list[_Volume] = Field(default_factory=list)
    projects: list[_Project] = Field(default_factory=list)
    containers: int = 0
    problems: list[str] = Field(default_factory=list)


class _Moved(_Model):
    aside: str
    moved: list[str]
    stopped: list[str]
    problems: list[str]


class SystemAccountInspector:
    """The `AccountInspector` port on a real host."""

    def __init__(self, processes: Processes | None = None) -> None:
        self._processes = processes or Processes()

    async def _run(self, account: Account, verb: str, argument: str, *, timeout: float) -> bytes:
        done = await self._processes.run(
            AsUser(account),
            [sys.executable, "-I", account_script.__file__, verb, account.home, argument],
            timeout=timeout,
            environment={"XDG_RUNTIME_DIR": f"/run/user/{account.uid}"},
            output_limit=_OUTPUT,
        )
        return done.require(reason="home-unknown").stdout

    async def inspect(self, account: Account, *, timeout: float) -> Finds:
        """Return what was found. Raises PermanentError(reason="home-unknown"), and what running a process raises."""
        said = await self._run(account, "look", account.name, timeout=timeout)
        try:
            found = _Found.model_validate_json(said)
        except ValidationError as error:
            raise _unknown(account, "the output of the inspection cannot be parsed") from error
        return Finds(
            tuple(found.quadlets),
            tuple(found.units),
            tuple(Project(each.name, each.folder, each.containers) for each in found.projects),
            tuple(StoreVolume(each.name, each.project, each.volume) for each in found.volumes),
            found.containers,
            "; ".join(found.problems),
        )

    async def move_aside(self, account: Account, folder: str, *, timeout: float) -> Moved:
        """Stop the units of the account's own files, then move the files into `folder` in its home.

        Raises PermanentError(reason="home-unknown"), and what running a process raises.
        """
        said = await self._run(account, "move", folder, timeout=timeout)
        try:
            found = _Moved.model_validate_json(said)
        except ValidationError as error:
            raise _unknown(account, "the output of the move cannot be parsed") from error
        return Moved(found.aside, tuple(found.moved), tuple(found.stopped), "; ".join(found.problems))


class NoAccountInspector:
    """For simulated accounts, which have nothing of their own."""

    async def inspect(self, account: Account, *, timeout: float) -> Finds:
        """Return nothing."""
        del account, timeout
        return Finds()

    async def move_aside(self, account: Account, folder: str, *, timeout: float) -> Moved:
        """Move nothing."""
        del account, timeout
        return Moved(folder, (), ())


def _unknown(account: Account, why: str) -> PermanentError:
    return PermanentError(f"the home of {account.name}: {why}", reason="home-unknown")
