"""Scope: eventd's own accounts are found on this host without a name service, and elsewhere with a deadline."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from eventd.kernel.model.errors import TemporaryError
from eventd.platform import nss
from eventd.platform.processes.process import ServiceAccount
from eventd.platform.service_accounts import ServiceAccounts, look_up


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Databases with one account, as systemd-sysusers writes them."""
    (tmp_path / "passwd").write_text("root:x:0:0::/root:/bin/sh\neventd-git:x:986:987::/:/usr/sbin/nologin\n")
    (tmp_path / "group").write_text("eventd-git:x:987:\nkeys:x:44:anna,eventd-git\nother:x:45:eventd-git2\n")
    return tmp_path


def test_a_local_account_has_its_own_group_first_and_those_that_name_it(etc: Path) -> None:
    """What getgrouplist(3) says of it."""
    found = ServiceAccounts.local(["eventd-git", "nobody-here"], etc)
    assert found.rows == {"eventd-git": ServiceAccount(986, 987, (987, 44))}


async def test_a_name_service_that_hangs_keeps_no_local_account_away(
    etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not asked for those; for another it has its time, in a thread, and the start is tried again."""
    monkeypatch.setattr(nss, "TIMEOUT", 0.05)
    release, threads = threading.Event(), []

    def hang(_name: str) -> None:
        threads.append(threading.current_thread())
        release.wait(60)

    try:
        assert set((await look_up(["eventd-git"], etc, hang)).rows) == {"eventd-git"}
        assert threads == []
        with pytest.raises(TemporaryError, match="cannot look up the account elsewhere") as caught:
            await look_up(["eventd-git", "elsewhere"], etc, hang)
        assert caught.value.reason == "nss-failed"
        assert threads[0] is not threading.current_thread()
    finally:
        release.set()
    there = ServiceAccount(5000, 5000, (5000,))
    assert (await look_up(["elsewhere"], etc, lambda _name: there)).rows == {"elsewhere": there}
