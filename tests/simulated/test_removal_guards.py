"""The deletion of an account looks for itself: whatever a plan, policy or approval says, some are never deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest

from eventd.desired.model import RemoveData
from eventd.kernel.draining import Draining
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import PlatformFact
from eventd.removal.model import Removal
from eventd.removal.model_actions import DeleteAccount
from eventd.workloads.controller_transaction import Transaction
from eventd.workloads.model_records import Ownership
from eventd_handlers.removal_deletion import delete_account
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container, deployed

DELETE = DeleteAccount("deletion:web", "web", 1001, "/home/web", 1, "it left")


async def retained() -> Story:
    """Return a story in which web has left, with its data."""
    told = await deployed(container("web"), 300)
    told.world.homes["web"] = 1
    told.push({"README": ""})
    await told.quiet()
    await told.engine.inventory.removals.put("web", Removal(RemoveData.DELETE, "operator", since=1.0))
    return told


async def attempt(told: Story, action: DeleteAccount = DELETE) -> str:
    """Carry out the action as if everything had been allowed; return why it was refused."""
    tx = Transaction(
        run=99,
        workload=action.workload,
        commit="",
        host=told.host.ports,
        inventory=told.engine.inventory,
        facts=told.dispatcher.facts,
        emit=told.dispatcher.emit,
        layout=told.layout,
        owner_uid=0,
        interrupt=anyio.Event(),
        draining=Draining(told.dispatcher.facts, FactKey(PlatformFact.SHUTDOWN)),
        now=told.dispatcher.wall,
    )
    try:
        await delete_account(action, tx)
    except EventdError as error:
        return error.reason
    return ""


async def no_record(told: Story) -> None:
    """The state file was lost."""
    await told.engine.inventory.forget("web")


async def adopted(told: Story) -> None:
    """It was a person's, handed over."""
    await told.engine.inventory.change("web", ownership=Ownership.ADOPTED)


async def other_uid(told: Story) -> None:
    """Somebody deleted it and made another one."""
    told.change_account("web", uid=1042)


async def other_home(told: Story) -> None:
    """Its home was moved."""
    told.change_account("web", home="/")


async def other_run(told: Story) -> None:
    """What was signed for was an earlier account of the name."""
    await told.engine.inventory.change("web", run=7)


async def login_shell(told: Story) -> None:
    """A person has been let in."""
    told.change_account("web", shell="/bin/bash")


async def session(told: Story) -> None:
    """Somebody is logged in."""
    told.dispatcher.facts.set(FactKey(PlatformFact.SESSIONS, "web"), frozenset({"3"}))


async def gone(told: Story) -> None:
    """Somebody deleted it."""
    told.world.model.accounts.remove("web")


async def thought_better_of_it(told: Story) -> None:
    """After the approval was spent."""
    await told.engine.inventory.removals.put("web", Removal(RemoveData.KEEP, "operator", since=1.0))


async def not_asked_for(told: Story) -> None:
    """Nobody wanted it."""
    await told.engine.inventory.removals.put("web", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (no_record, "not-ours"),
        (adopted, "not-ours"),
        (other_uid, "account-changed"),
        (other_home, "account-changed"),
        (other_run, "account-changed"),
        (login_shell, "protected"),
        (session, "logged-in"),
        (gone, "no-account"),
        (thought_better_of_it, "not-asked-for"),
        (not_asked_for, "not-asked-for"),
    ],
)
@virtual()
async def test_an_account_that_is_not_the_one_or_is_in_use_is_not_deleted(
    change: Callable[[Story], Awaitable[None]], reason: str
) -> None:
    """Neither userdel nor the deletion of the home is called."""
    told = await retained()
    await change(told)
    before = len(told.host.life.calls)
    assert await attempt(told) == reason
    assert told.world.homes == {"web": 1}
    calls = list(told.host.life.calls)
    assert not [c for c in calls[before:] if c.startswith(("userdel", "discard", "kill"))]
    # What the removal left running was ended with it, and nothing but that.
    assert [c for c in calls[:before] if c.startswith(("userdel", "discard", "kill"))] == ["kill web"]


@virtual()
async def test_the_one_that_was_signed_for_is_deleted() -> None:
    """So that the test above fails for its reasons only."""
    told = await retained()
    assert await attempt(told) == ""
    assert not told.world.homes
