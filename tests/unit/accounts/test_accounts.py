"""Accounts: what is asked of useradd, what its exit statuses mean, ranges of subordinate ids, and the facts.

The databases are files in a folder of the test, `pwd` reads them there, and useradd is a script that writes
them.
"""

# ruff: noqa: ASYNC240  small files of the test's own, on an idle loop

from __future__ import annotations

import asyncio
import os
import pwd
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from eventd.accounts import adapter as module
from eventd.accounts import adapter_login_defs as login_defs
from eventd.accounts.adapter import SystemAccounts
from eventd.accounts.adapter_subordinate_ids import Range, best, free_range, overlapping, parse_ranges
from eventd.accounts.source import AccountSource
from eventd.kernel.model.errors import DeadlineError, PermanentError, TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.platform.inotify import Inotify
from eventd.platform.model_facts import Account, PlatformFact
from tests.unit.kernel.recorder import Recorder

UID = os.geteuid()


class Host:
    """A folder as `/etc`, one as `/home`, and scripts for useradd and usermod."""

    def __init__(self, tmp_path: Path) -> None:
        self.etc = tmp_path / "etc"
        self.home = tmp_path / "home"
        (self.etc / "default").mkdir(parents=True)
        self.home.mkdir()
        (self.etc / "passwd").write_text("")
        (self.etc / "group").write_text("")
        (self.etc / "subuid").write_text("old:100000:65536\n")
        (self.etc / "subgid").write_text("old:100000:65536\n")
        (self.etc / "default/useradd").write_text(f"# comment\nHOME={self.home}\n")
        (self.etc / "login.defs").write_text("UID_MIN\t\t1500\nSUB_UID_MIN 100000\nSUB_UID_MAX 300000\n")
        self.log = tmp_path / "log"
        self.useradd("")

    def script(self, name: str, body: str) -> str:
        path = self.etc.parent / name
        path.write_text(f'#!/bin/sh\nfor name; do :; done\necho "{name} $*" >> {self.log}\n{body}\n')
        path.chmod(0o755)
        return str(path)

    def useradd(self, body: str, *, subids: bool = True) -> None:
        """`body` runs before the account is made."""
        lines = [
            body,
            f"mkdir {self.home}/$name",
            f'echo "$name:x:{UID}:{UID}::{self.home}/$name:/usr/sbin/nologin" >> {self.etc}/passwd',
        ]
        if subids:
            lines += [f'echo "$name:165536:65536" >> {self.etc}/{file}' for file in ("subuid", "subgid")]
        self.script("useradd", "\n".join(lines))

    def accounts(self) -> SystemAccounts:
        parent = self.etc.parent
        return SystemAccounts(etc=str(self.etc), useradd=f"{parent}/useradd", usermod=f"{parent}/usermod")

    def getpwnam(self, name: str) -> pwd.struct_passwd:
        for line in (self.etc / "passwd").read_text().splitlines():
            row = line.split(":")
            if row[0] == name:
                return pwd.struct_passwd([row[0], row[1], int(row[2]), int(row[3]), *row[4:]])
        raise KeyError(name)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    monkeypatch.setattr(module.pwd, "getpwnam", host.getpwnam)
    return host


async def test_a_new_account_comes_back_complete(host: Host):
    """The account is what NSS and the ranges say afterwards; it has no login shell and no password option."""
    account = await host.accounts().create("web", timeout=60)
    assert account == Account(
        "web", UID, UID, f"{host.home}/web", "/usr/sbin/nologin", (165536, 65536), (165536, 65536)
    )
    log = host.log.read_text()
    assert "--create-home" in log
    assert "nologin" in log
    assert "--groups" not in log
    assert log.rstrip().endswith("-- web")


async def test_the_visible_group_is_used_where_it_exists(host: Host):
    """`eventd-managed` is added as a supplementary group if sysusers made it."""
    (host.etc / "group").write_text("eventd-managed:x:900:\n")
    await host.accounts().create("web", timeout=60)
    assert "--groups eventd-managed" in host.log.read_text()


async def test_an_existing_account_is_never_adopted(host: Host):
    """Creating over an account is refused, and useradd is not even asked."""
    (host.etc / "passwd").write_text("web:x:1500:1500::/srv/web:/bin/bash\n")
    with pytest.raises(PermanentError) as caught:
        await host.accounts().create("web", timeout=60)
    assert caught.value.reason == "account-exists"
    assert not host.log.exists()


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
async def test_a_home_that_is_there_is_never_adopted(host: Host, kind: str):
    """Somebody's data, or a link, where the home would be: refused before useradd runs."""
    if kind == "folder":
        (host.home / "web").mkdir()
    else:
        (host.home / "web").symlink_to("/nowhere")
    with pytest.raises(PermanentError) as caught:
        await host.accounts().create("web", timeout=60)
    assert caught.value.reason == "home-exists"
    assert not host.log.exists()


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (
            "echo 'useradd: cannot lock /etc/passwd; try again later.' >&2; exit 1",
            TemporaryError,
            "accounts-locked",
        ),
        (
            "echo 'useradd: cannot lock /etc/group; try again later.' >&2; exit 10",
            TemporaryError,
            "accounts-locked",
        ),
        ("echo 'useradd: cannot create directory: No space left' >&2; exit 12", TemporaryError, "disk-full"),
        ("echo \"useradd: invalid user name 'web'\" >&2; exit 3", PermanentError, "invalid-name"),
        ("echo 'useradd: group web exists' >&2; exit 9", PermanentError, "group-exists"),
        ("exit 12", PermanentError, "home-missing"),
        ("exit 2", PermanentError, "account-failed"),
    ],
)
async def test_exit_statuses_are_told_apart(host: Host, body: str, kind: type[Exception], reason: str):
    """What may pass by itself is temporary, everything else waits for somebody."""
    host.useradd(body)
    with pytest.raises(kind) as caught:
        await host.accounts().create("web", timeout=60)
    assert caught.value.reason == reason  # type: ignore[attr-defined]


async def test_a_useradd_that_hangs_reaches_the_deadline(host: Host):
    """It is given up in time."""
    host.useradd("sleep 10")
    with pytest.raises(DeadlineError):
        await host.accounts().create("web", timeout=0.2)


async def test_creations_do_not_fight_for_the_lock(host: Host):
    """Two at once run one after the other, for useradd gives up, or sleeps, when another one is on."""
    lock = host.etc / "passwd.lock"
    host.useradd(f"mkdir {lock} || exit 1; sleep 0.05; rmdir {lock}", subids=False)
    first = 165536
    host.script("usermod", "true")
    accounts = host.accounts()
    (host.etc / "subuid").write_text(f"a:{first}:65536\nb:{first + 65536}:65536\n")
    (host.etc / "subgid").write_text(f"a:{first}:65536\nb:{first + 65536}:65536\n")
    made = await asyncio.gather(accounts.create("a", timeout=60), accounts.create("b", timeout=60))
    assert [account.name for account in made] == ["a", "b"]


async def test_missing_ranges_are_added_free_of_others(host: Host):
    """Where useradd gave none, usermod is asked for the first free range of each file."""
    host.useradd("", subids=False)
    (host.etc / "subgid").write_text("")
    host.script(
        "usermod",
        f"echo web:165536:65536 >> {host.etc}/subuid; echo web:100000:65536 >> {host.etc}/subgid",
    )
    account = await host.accounts().create("web", timeout=60)
    assert (account.subuid, account.subgid) == ((165536, 65536), (100000, 65536))
    log = host.log.read_text()
    assert "usermod --add-subuids 165536-231071 --add-subgids 100000-165535 -- web" in log


async def test_no_room_for_a_range_is_said(host: Host):
    """SUB_UID_MAX is a limit."""
    host.useradd("", subids=False)
    (host.etc / "subuid").write_text("old:100000:180000\n")
    with pytest.raises(PermanentError) as caught:
        await host.accounts().create("web", timeout=60)
    assert caught.value.reason == "subid-missing"


async def test_an_overlap_is_refused(host: Host):
    """Ranges shared with another account are an error that names it."""
    (host.etc / "subuid").write_text("old:100000:65537\n")
    with pytest.raises(PermanentError) as caught:
        await host.accounts().create("web", timeout=60)
    assert caught.value.reason == "subid-overlap"
    assert "old" in caught.value.message


async def test_completing_a_complete_account_runs_nothing(host: Host):
    """What a crash left half made can be finished; what is whole costs no process."""
    accounts = host.accounts()
    account = await accounts.create("web", timeout=60)
    host.log.unlink()
    assert await accounts.complete(account, timeout=60) == account
    assert not host.log.exists()
    Path(account.home).rmdir()
    (host.etc / "skel/.config").mkdir(parents=True)
    (host.etc / "skel/.config/x").write_text("from skel")
    assert await accounts.complete(account, timeout=60) == account
    assert (Path(account.home) / ".config/x").read_text() == "from skel"
    (Path(account.home) / ".config/x").write_text("their own")
    await accounts.complete(account, timeout=60)
    assert (Path(account.home) / ".config/x").read_text() == "their own"


def test_uid_min_is_the_administrators(host: Host):
    """UID_MIN comes from login.defs, 1000 where it says nothing."""
    assert login_defs.uid_min(host.etc) == 1500
    (host.etc / "login.defs").write_text("# UID_MIN 7\n")
    assert login_defs.uid_min(host.etc) == 1000


def test_ranges_by_name_and_by_uid():
    """Rows may name the owner by uid; broken rows are skipped."""
    text = "web:1:2\n1500:100000:65536\n\n# x\nbroken\nweb:x:1\n:1:1\n"
    assert parse_ranges(text) == [Range("web", 1, 2), Range("1500", 100000, 65536)]
    account = Account("web", 1500, 1500, "/")
    rows = parse_ranges(text)
    assert best(rows, "web", 1500) == (100000, 65536)
    assert overlapping(rows, account, (100000, 65536)) is None
    assert overlapping(rows, Account("x", 1501, 1501, "/"), (165535, 1)) == Range("1500", 100000, 65536)
    assert overlapping(rows, Account("x", 1501, 1501, "/"), (165536, 1)) is None


@pytest.mark.parametrize(
    ("taken", "first"),
    [
        ([], 100),
        ([(100, 65536)], 65636),
        ([(0, 101)], 101),
        ([(65636, 1)], 100),
        ([(65635, 1)], 65636),
        ([(100, 10), (200, 65536)], 65736),
        ([(100, 200_000)], None),
    ],
)
def test_a_free_range_is_the_first_that_touches_no_other(taken: list[tuple[int, int]], first: int | None):
    """The limits are inclusive; gaps that are too small are passed over."""
    assert free_range([Range("x", *t) for t in taken], 100, 100 + 3 * 65536 - 1) == first


@pytest.fixture
async def source(host: Host) -> AsyncIterator[tuple[AccountSource, Recorder]]:
    recorder, inotify = Recorder(), Inotify()
    source = AccountSource(inotify, recorder, host.accounts(), etc=str(host.etc))
    tasks = [asyncio.create_task(inotify.run()), asyncio.create_task(source.run())]
    yield source, recorder
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(result, asyncio.CancelledError), result
    inotify.close()


def replace(path: Path, text: str) -> None:
    """As shadow does it."""
    new = path.with_name(path.name + "+")
    new.write_text(text)
    new.rename(path)


async def test_account_facts_follow_the_databases(source: tuple[AccountSource, Recorder], host: Host):
    """Known accounts are read, a change by somebody else is told, an unknown account is nobody's business."""
    accounts, recorder = source
    replace(host.etc / "passwd", f"web:x:1500:1500::{host.home}:/bin/sh\n")
    await accounts.known(["web", "db"])
    assert recorder.kinds() == [KernelEvent.READ]
    assert isinstance(recorder.fact(PlatformFact.ACCOUNT, "web"), Account)
    assert recorder.fact(PlatformFact.ACCOUNT, "db") is None
    replace(
        host.etc / "passwd",
        f"web:x:1500:1500::{host.home}:/bin/sh\ndb:x:1501:1501::/db:/bin/sh\nother:x:1502:1502::/:/bin/sh\n",
    )
    await recorder.until(lambda: recorder.fact(PlatformFact.ACCOUNT, "db") is not None)
    replace(host.etc / "subuid", "db:200000:65536\n")
    await recorder.until(
        lambda: getattr(recorder.fact(PlatformFact.ACCOUNT, "db"), "subuid", None) == (200000, 65536)
    )
    assert {seen.subject for seen in recorder.seen[1:]} == {"db"}
    replace(host.etc / "passwd", "")
    await recorder.until(lambda: recorder.fact(PlatformFact.ACCOUNT, "web") is None)


async def test_a_name_that_is_not_known_any_more_is_forgotten(
    source: tuple[AccountSource, Recorder], host: Host
):
    """Its fact goes; setting the same names again reads and tells nothing."""
    accounts, recorder = source
    replace(host.etc / "passwd", f"web:x:1500:1500::{host.home}:/bin/sh\n")
    await accounts.known(["web"])
    await accounts.known(["web"])
    assert len(recorder.seen) == 1
    await accounts.known([])
    assert recorder.fact(PlatformFact.ACCOUNT, "web") is None


async def test_refresh_reads_without_waiting_for_a_signal(source: tuple[AccountSource, Recorder], host: Host):
    """After creating an account its fact is there before the next line of the caller."""
    accounts, recorder = source
    await accounts.known(["web"])
    await host.accounts().create("web", timeout=60)
    await accounts.refresh("web")
    assert isinstance(recorder.fact(PlatformFact.ACCOUNT, "web"), Account)


async def test_what_was_read_before_an_error_is_told(host: Host):
    """One account that cannot be looked up must not leave another one, or one that is gone, without its fact."""
    replace(host.etc / "passwd", f"db:x:1501:1501::{host.home}:/bin/sh\nold:x:1502:1502::/:/bin/sh\n")
    recorder, inotify, real = Recorder(), Inotify(), host.accounts()
    broken = True

    class Failing:
        """NSS that has no answer about `web` for a while."""

        async def lookup(self, name: str) -> Account | None:
            if broken and name == "web":
                raise TemporaryError("no answer", reason="nss-failed")
            return await real.lookup(name)

    source = AccountSource(inotify, recorder, cast("SystemAccounts", Failing()), etc=str(host.etc))
    await source.known(["old"])
    with pytest.raises(TemporaryError):
        await source.known(["db", "web"])
    broken = False
    await source.known(["db", "web"])
    assert isinstance(recorder.fact(PlatformFact.ACCOUNT, "db"), Account)
    assert recorder.fact(PlatformFact.ACCOUNT, "old") is None
    inotify.close()
