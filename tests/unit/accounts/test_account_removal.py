"""Which accounts are never deleted, by what the databases of the host say of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventd.accounts.adapter_removal import NoAccountRemoval, SystemAccountRemoval
from eventd.kernel.model.errors import PermanentError
from eventd.platform.model_facts import Account
from eventd.platform.processes import process
from eventd.platform.processes.process import Completed
from eventd.platform.processes.unit_rights import AsUser, RunAs

WEB = Account("web", 1001, 1001, "/home/web", "/usr/sbin/nologin")


class Here:
    """Runs a command as whoever runs the tests: there need be no systemd to give it another's rights."""

    async def run(self, who: RunAs, argv: Sequence[str], *, timeout: float, **how: Any) -> Completed:
        """See `Processes.run`."""
        assert isinstance(who, AsUser)
        return await process.run(argv, timeout=timeout, **how)


@pytest.fixture
def removal(tmp_path: Path) -> SystemAccountRemoval:
    """Over databases with one account of eventd's."""
    (tmp_path / "shadow").write_text("root:*:1::::::\nweb:!:1::::::\n")
    (tmp_path / "subuid").write_text("web:100000:65536\ndb:250000:65536\n")
    return SystemAccountRemoval(asyncio.Lock(), etc=str(tmp_path), processes=Here())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, ""),
        ({"uid": 0}, "not between 1000"),
        ({"uid": 65534}, "not between 1000"),
        ({"shell": "/bin/bash"}, "login shell"),
        ({"home": "/root"}, "also that of root"),
        ({"home": "/"}, "also that of"),
        ({"subuid": (0, 65536)}, "the uid of root"),
        ({"subuid": (100_000, 65536)}, ""),
        ({"subuid": (200_000, 65536)}, "overlap those of db"),
    ],
)
async def test_an_account_that_is_a_systems_or_a_persons_is_refused(
    removal: SystemAccountRemoval, changes: dict[str, object], says: str
) -> None:
    """By uid, shell, and whether somebody else's home is in its home."""
    found = await removal.refusal(replace(WEB, **changes))  # type: ignore[arg-type]
    assert (says in found) if says else found == ""


@pytest.mark.parametrize("password", ["$y$j9T$x", "", "x"])
async def test_an_account_that_a_person_can_log_in_to_is_refused(
    removal: SystemAccountRemoval, tmp_path: Path, password: str
) -> None:
    """With a password, or without being asked for one."""
    (tmp_path / "shadow").write_text(f"web:{password}:1::::::\n")
    assert "log in to it" in await removal.refusal(WEB)


async def test_accounts_that_are_not_this_systems_are_never_touched() -> None:
    """A simulated host's web may be somebody here."""
    none = NoAccountRemoval()
    assert await none.refusal(WEB)
    await none.end_processes(
        WEB, timeout=1
    )  # of a simulated account nothing runs here, and nothing here is its
    for attempt in (none.discard_home, none.delete):
        with pytest.raises(PermanentError):
            await attempt(WEB, timeout=1)
