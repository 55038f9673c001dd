"""The port `AccountRemoval`: an account, its processes and its home on the simulated host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventd.accounts.ports import Measured
from eventd.kernel.model.errors import PermanentError, TemporaryError

if TYPE_CHECKING:
    from eventd.platform.model_facts import Account
    from eventd_simulators.inprocess.host import World
    from eventd_simulators.inprocess.life import Life


class SimAccountRemoval:
    """See the port. Deletes in two halves, so that tests can crash it in between."""

    def __init__(self, life: Life, world: World) -> None:
        self._life = life
        self._world = world

    async def refusal(self, account: Account) -> str:
        """See the port."""
        shell = account.shell.rpartition("/")[2]
        return await self._life.read(lambda: "" if shell in ("nologin", "false") else "it has a login shell")

    async def measure(self, account: Account, *, timeout: float) -> Measured:
        """See the port."""
        del timeout
        files = self._world.homes.get(account.name, 0)
        return await self._life.read(lambda: Measured(files, files * 4096, complete=True))

    async def end_processes(self, account: Account, *, timeout: float) -> None:
        """See the port. The model has no processes outside the manager."""
        del timeout
        if account.name in self._world.model.managers:
            raise TemporaryError(f"the manager of {account.name} runs", reason="account-busy")
        await self._life.change(f"kill {account.name}", lambda: None, failure=0)

    async def discard_home(self, account: Account, *, timeout: float) -> None:
        """See the port."""
        del timeout
        await self._life.change(
            f"discard-home {account.name}", lambda: self._world.homes.pop(account.name, None), failure=0
        )

    async def sweep(self, account: Account, *, timeout: float) -> tuple[str, ...]:
        """See the port. The model has no files outside homes."""
        del timeout
        await self._life.change(f"sweep {account.name}", lambda: None, failure=0)
        return ()

    async def delete(self, account: Account, *, timeout: float) -> None:
        """See the port."""
        del timeout

        def delete() -> None:
            if account.name in self._world.homes:
                raise PermanentError("the home has to go first", reason="home-left")
            self._world.model.accounts.remove(account.name)

        await self._life.change(f"userdel {account.name}", delete, failure=0)
