"""Scope: a name service that does not answer at the start: nobody is an operator until it does, and that is said."""

from __future__ import annotations

import stat
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio

from eventd import domains
from eventd.api.model_sockets import OPERATORS, beside
from eventd.api.routing import Api
from eventd.api.server import Server
from eventd.api.socket_groups import PAUSE, SocketGroups
from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.platform.nss import Nss
from eventd.status import documents
from eventd_simulators.virtual_time import run
from tests.simulated.daemon import Story


class Names(Nss):
    """A name service that takes five seconds to fail, until it is well."""

    def __init__(self) -> None:
        super().__init__()
        self.well = False
        self.asked = 0
        self.fails_after = 5.0

    async def gid(self, group: str) -> int | None:
        """Fail, or say what there is."""
        self.asked += 1
        if not self.well:
            await anyio.sleep(self.fails_after)
            raise TemporaryError(f"cannot look up the group {group}", reason="nss-failed")
        return {"eventd": 77}.get(group)


def test_a_request_brings_the_next_attempt_and_the_operators_with_it() -> None:
    """Many at once are one attempt, those just after it none; what is known by then is known for good."""

    async def main() -> None:
        names, said, found = Names(), list[EventdError | None](), list[int]()
        groups = SocketGroups(names, said.append)
        await groups.resolve("eventd", found.append)
        assert (names.asked, found, groups.pending) == (1, [], True)
        assert said[-1] is not None
        await groups.ask()
        assert names.asked == 1, "it has just been tried"
        await anyio.sleep(PAUSE)
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(groups.ask)
        assert names.asked == 2
        names.well = True
        await anyio.sleep(PAUSE)
        await groups.ask()
        assert (found, groups.pending, said[-1]) == ([77], False, None)
        asked = names.asked
        await groups.ask()
        await groups.serve()
        assert names.asked == asked

    run(main())


def test_it_is_tried_again_though_nobody_asks() -> None:
    """The listener's socket has nobody who could: it is shut to it until then."""

    async def main() -> None:
        names, said, found = Names(), list[EventdError | None](), list[int]()
        groups = SocketGroups(names, said.append)
        await groups.resolve("no-such-group", found.append)
        await groups.resolve("eventd", found.append)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(groups.serve)
            await anyio.sleep(60)
            assert said[-1] is not None
            names.well = True
        assert (found, said[-1]) == ([77], None)

    run(main())


def mode(path: Path) -> int:
    """Return the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_status_says_it_and_the_socket_is_opened_to_operators_later(tmp_path: Path) -> None:
    """Root is served all the while; once the group is known, its members can connect and are operators."""
    names = Names()
    names.fails_after = 0.0
    story = Story()
    await story.start()

    async def none(*_: Any) -> Any:
        return []

    identity = documents.Identity("host", "https://forge/repo", "main", time.time())
    api = Api(story.engine.queries, story.engine.commands, identity, none, lambda _: None, none, nss=names)
    server = Server(api, "eventd", domains.load().routes)
    path = str(tmp_path / "eventd.sock")
    theirs = Path(beside(path, OPERATORS))
    async with AsyncExitStack() as stack:
        await server.listen(stack, path, "eventd")
        assert mode(theirs) == 0o600
        ((name, error),) = story.engine.queries.problems.all()
        assert (name, error.reason) == ("name-service", "nss-failed")
        assert "look up" not in story.engine.queries.problems.of_a_run()
        names.well = True
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.groups.serve)
        assert mode(theirs) == 0o660
        assert server.limiter.operators == 77
        assert story.engine.queries.problems.all() == []
    await story.kill()
