"""Scope: nothing asks a name service on the loop's thread: a directory server that hangs holds up nobody."""

from __future__ import annotations

import ast
import os
import threading
from typing import NoReturn

import anyio
import pytest

from eventd.kernel.model.errors import TemporaryError
from eventd.platform import nss
from eventd.platform.nss import Nss
from tests.unit import daemon_code

DATABASES = frozenset({"pwd", "grp", "spwd"})
CALLS = frozenset(
    {
        "getgrouplist",
        "initgroups",
        "expanduser",
        "getlogin",
        "gethostbyname",
        "gethostbyaddr",
        "getfqdn",
        "getnameinfo",
    }
)
IN_A_THREAD = {
    "eventd/platform/nss.py": "what this is about",
    "eventd/accounts/adapter.py": "useradd and its look-ups, each in a thread",
    "eventd/accounts/adapter_former.py": "likewise",
    "eventd/accounts/adapter_removal.py": "likewise",
    "eventd/files/adapter.py": "in the thread that writes",
    "eventd/platform/processes/as_account.py": "in the thread that takes on the rights",
    "eventd/platform/service_accounts.py": "likewise",
}


def _asks(tree: ast.AST) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and DATABASES & {each.name for each in node.names}:
            return True
        if isinstance(node, ast.ImportFrom) and node.module in DATABASES:
            return True
        if isinstance(node, ast.Attribute) and node.attr in CALLS:
            return True
    return False


def test_no_module_of_the_daemon_asks_but_those_that_do_it_in_a_thread() -> None:
    """A new one goes through `Nss`, or says here why it need not."""
    asking = {name for name, tree in daemon_code.modules().items() if _asks(tree)}
    assert asking == set(IN_A_THREAD)


async def test_names_are_found_and_strangers_have_none() -> None:
    """A user without a name is called by number."""
    names = Nss()
    assert await names.user_name(0) == "root"
    assert await names.user_name(2**31 - 7) is None
    assert await names.gid("root") == 0
    assert await names.gid("no-such-group") is None
    assert os.getpid()


async def test_a_server_that_hangs_costs_its_own_answer_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop turns, the answer is given up at its deadline, and no more than two threads are lost to it."""
    monkeypatch.setattr(nss, "TIMEOUT", 0.05)
    release, stuck = threading.Event(), []

    def hang(uid: int) -> NoReturn:
        stuck.append(uid)
        release.wait(60)
        raise KeyError(uid)

    names = Nss(user=hang)
    try:
        found = []
        async with anyio.create_task_group() as group:

            async def ask(uid: int) -> None:
                found.append(await names.user_name(uid))

            for uid in range(5):
                group.start_soon(ask, uid)
        assert found == [None] * 5
        assert len(stuck) == 2
        assert await Nss().user_name(0) == "root"
    finally:
        release.set()
    assert "name service did not answer" in caplog.text


async def test_a_group_that_is_not_known_is_not_one_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who asks has to ask again."""
    monkeypatch.setattr(nss, "TIMEOUT", 0.05)
    release = threading.Event()

    def hang(group: str) -> NoReturn:
        release.wait(60)
        raise KeyError(group)

    try:
        with pytest.raises(
            TemporaryError, match="the group eventd: the name service did not answer"
        ) as caught:
            await Nss(group=hang).gid("eventd")
        assert caught.value.reason == "nss-failed"
    finally:
        release.set()
