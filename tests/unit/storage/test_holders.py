"""Scope: who keeps a disk in words, and what to do about it: from the lines of /proc that real hosts have."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from eventd.storage.model_holders import Holder, remedy, some, whose

MANAGER = "/user.slice/user-1001.slice/user@1001.service"


class Accounts:
    """Two workloads with an account each."""

    def account(self, uid: int) -> str:
        """See `Owners`."""
        return {1000: "app", 1001: "web"}.get(uid, "")

    def units(self, account: str) -> Collection[str]:
        """See `Owners`."""
        return {f"{account}.service"}


@pytest.mark.parametrize(
    ("cgroup", "uid", "words", "hint"),
    [
        (
            f"{MANAGER}/app.slice/web.service/libpod-payload-b55c3bbd",
            165536,
            "sh (pid 7, cwd) of web.service of web",
            "eventctl restart web",
        ),
        (
            f"{MANAGER}/app.slice/run-p774-i32308.scope",
            1001,
            "sh (pid 7, cwd) of web",
            "eventctl restart web",
        ),
        (
            f"{MANAGER}/app.slice/mine.service",
            1001,
            "sh (pid 7, cwd) of web",
            "systemctl --user -M web@ stop mine.service",
        ),
        (f"{MANAGER}/init.scope", 1001, "sh (pid 7, cwd) of web", "eventctl restart web"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/app.service/runtime",
            1000,
            "sh (pid 7, cwd) of app.service of app",
            "systemctl --user -M app@ stop app.service",
        ),
        (
            "/user.slice/user-1000.slice/user@1000.service/init.scope",
            1000,
            "sh (pid 7, cwd) of app",
            "systemctl stop user@1000.service",
        ),
        (
            "/user.slice/user-1007.slice/user@1007.service/app.slice/mine.service",
            1007,
            "sh (pid 7, cwd) of uid 1007",
            'systemctl --user -M "$(id -nu 1007)"@ stop mine.service',
        ),
        (
            "/user.slice/user-1007.slice/session-3.scope",
            1007,
            "sh (pid 7, cwd) in session 3",
            "have it leave /srv/media, or: loginctl terminate-session 3",
        ),
        (
            "/system.slice/holder.service",
            0,
            "sh (pid 7, cwd) of holder.service",
            "systemctl stop holder.service",
        ),
        ("/", 0, "sh (pid 7, cwd)", "have it leave /srv/media (process 7)"),
        ("", -1, "sh (pid 7, cwd)", "have it leave /srv/media (process 7)"),
    ],
)
def test_a_holder_is_named_by_whose_it_is_and_never_to_be_killed(
    cgroup: str, uid: int, words: str, hint: str
) -> None:
    """By its workload, its unit or its session; what uses the volume is stopped already, so it is not restarted."""
    holder = Holder(7, "sh", "cwd", uid, cgroup)
    assert whose(holder, Accounts()) == words
    said = remedy(holder, "/srv/media", Accounts(), frozenset({"app"}))
    assert said == hint
    assert "kill" not in said


@pytest.mark.parametrize(
    "part", ["$(reboot).service", "-M;reboot.service", "a b.service", "../../x/web.service "]
)
def test_a_unit_with_a_name_for_a_shell_is_not_said(part: str) -> None:
    """A cgroup's name is its maker's choice; a hint is copied into a root's shell."""
    holder = Holder(7, "sh", "cwd", 1007, f"/user.slice/user-1007.slice/user@1007.service/{part}")
    said = remedy(holder, "/srv/media", Accounts(), frozenset())
    assert said == "systemctl stop user@1007.service"


def test_of_many_the_first_are_named() -> None:
    """A sentence stays one."""
    many = [Holder(pid, "sh", "cwd") for pid in range(1, 6)]
    assert some(many, Accounts()) == "sh (pid 1, cwd), sh (pid 2, cwd), sh (pid 3, cwd) and 2 more"
