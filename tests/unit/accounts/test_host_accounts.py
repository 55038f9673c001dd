"""Scope: names of workloads that are taken on this host: whose they are, and what is said of each."""

from __future__ import annotations

import pytest

from eventd.accounts.model_host_accounts import Taken, conflicts

ACCOUNTS = {"backup": 34, "wiki": 1005, "web": 1006}
GROUPS = {"backup": 34, "wiki": 1005, "web": 1006, "disk": 6}


def low(name: str, uid: int) -> str:
    """Protect the distribution's accounts, as the policy does."""
    return f"the account {name} has uid {uid}, outside of 1000 to 60000" if uid < 1000 else ""


@pytest.mark.parametrize(
    ("name", "ours", "said"),
    [
        ("backup", {"web"}, ("error", "protected-name")),
        ("wiki", {"web"}, ("error", "account-exists")),
        ("disk", {"web"}, ("error", "group-exists")),
        ("web", {"web"}, None),
        ("fresh", {"web"}, None),
        ("wiki", None, ("warning", "account-exists")),
        ("backup", None, ("error", "protected-name")),
    ],
)
def test_what_is_taken_is_told(name: str, ours: set[str] | None, said: tuple[str, str] | None) -> None:
    """An account of eventd's own is no conflict; whose it is, only root can see."""
    found = list(conflicts({name: f"workloads/{name}"}, Taken(ACCOUNTS, GROUPS, ours), low))
    assert [(str(each.severity), each.code) for each in found] == ([said] if said else [])
    assert all(each.file == f"workloads/{name}" and each.hint for each in found)
