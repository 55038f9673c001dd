"""Scope: whose a uid was, and whether anybody has it now."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import NoReturn

import pytest

from eventd.accounts.adapter_former import former, is_taken
from eventd.accounts.adapter_used_ids import Ids, UsedIds
from eventd.kernel.model.errors import TemporaryError
from eventd.platform import nss


async def test_uids_that_were_only_reserved_were_nobodys(tmp_path: Path) -> None:
    """The file has the last name of each uid that an account had."""
    used = UsedIds(str(tmp_path / "ids"), places=())
    assert await former(used) == {}
    used.record(Ids("web", 2001, 2001, 0, 0))
    used.record(Ids("site", 2001, 2001, 0, 0))
    used.record(Ids("db", 2002, 2002, 0, 0))
    assert await former(used) == {2001: "site", 2002: "db"}


async def test_a_uid_is_taken_free_or_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name service that does not answer says neither."""
    assert await is_taken(0)
    assert not await is_taken(2**31 - 7)
    monkeypatch.setattr(nss, "TIMEOUT", 0.05)
    release = threading.Event()

    def hang(uid: int) -> NoReturn:
        release.wait(60)
        raise KeyError(uid)

    try:
        with pytest.raises(TemporaryError, match="no answer within") as caught:
            await is_taken(2001, hang)
        assert caught.value.reason == "nss-failed"
    finally:
        release.set()
