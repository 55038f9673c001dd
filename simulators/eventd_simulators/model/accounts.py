"""passwd, subuid and subgid as a table, by the rules of useradd(8) on Debian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from eventd.platform.model_facts import Account
from eventd.workloads.model_recovery import ACCOUNT_COMMENT
from eventd_simulators.model.signals import AccountChanged, Hub

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_UID = 1001
FIRST_SUBORDINATE = 165_536
SUBORDINATES = 65_536


class AccountDatabase(Protocol):
    """What the model needs of the accounts."""

    def __iter__(self) -> Iterator[Account]: ...

    def get(self, name: str) -> Account | None:
        """Return an account."""
        ...

    def by_uid(self, uid: int) -> Account | None:
        """Return the account with a uid."""
        ...

    def add(self, name: str, *, shell: str = ...) -> Account:
        """Add a regular account (it must not exist) with the next free ids."""
        ...

    def remove(self, name: str) -> None:
        """Userdel."""
        ...


class AccountTable:
    """The accounts by name. root exists from the start."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._rows: dict[str, Account] = {"root": Account("root", 0, 0, "/root", "/bin/bash")}

    def __iter__(self) -> Iterator[Account]:
        return iter(tuple(self._rows.values()))

    def get(self, name: str) -> Account | None:
        """Return an account."""
        return self._rows.get(name)

    def by_uid(self, uid: int) -> Account | None:
        """Return the account with a uid."""
        return next((row for row in self if row.uid == uid), None)

    def add(self, name: str, *, shell: str = "/usr/sbin/nologin", comment: str = ACCOUNT_COMMENT) -> Account:
        """Add a regular account (it must not exist) with the next free ids."""
        uid = max([FIRST_UID - 1, *(row.uid for row in self)]) + 1
        start = FIRST_SUBORDINATE + (uid - FIRST_UID) * SUBORDINATES
        ranges = (start, SUBORDINATES)
        return self.put(Account(name, uid, uid, f"/home/{name}", shell, ranges, ranges, comment))

    def put(self, account: Account) -> Account:
        """Add or replace a row."""
        self._rows[account.name] = account
        self._hub.send(AccountChanged(account.name))
        return account

    def remove(self, name: str) -> None:
        """Userdel."""
        if self._rows.pop(name, None) is not None:
            self._hub.send(AccountChanged(name))
