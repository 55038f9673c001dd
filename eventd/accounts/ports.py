"""What the runtime needs of Linux accounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from eventd.adoption.model import Signs
from eventd.platform.model_facts import Account


class AccountSigns(Protocol):
    """Signs that a person uses an account."""

    async def read(self, account: Account, *, timeout: float) -> Signs:
        """Read the signs. A home that cannot be read within `timeout` seconds is a sign too."""
        ...


class Accounts(Protocol):
    """passwd, group, shadow, subuid: useradd(8) and NSS."""

    async def lookup(self, name: str) -> Account | None:
        """Return the account from NSS with its subordinate ranges, or None."""
        ...

    async def create(self, name: str, *, timeout: float) -> Account:
        """Create a regular account with a home, no password, no login shell, and subordinate id ranges.

        Raises PermanentError(reason="account-exists") if it exists: an existing account is never adopted here.
        """
        ...

    async def rename(self, old: Account, new: str, *, timeout: float) -> Account:
        """Rename an account and its group; uid, home and subordinate ids stay. Idempotent.

        `old`: as it was before the first attempt. Raises PermanentError(reason="account-exists" | "no-account").
        """
        ...

    async def complete(self, account: Account, *, timeout: float) -> Account:
        """Add missing subordinate id ranges; return the completed account. Idempotent."""
        ...

    async def note(self, account: Account) -> None:
        """Record that these ids are an account's, so that they are never handed out again. Idempotent."""
        ...

    async def former(self) -> Mapping[int, str]:
        """Return the uids that accounts of workloads have or had, as far as recorded, with the last name of each."""
        ...

    async def is_taken(self, uid: int) -> bool:
        """Return whether any account has this uid, by NSS. Raises TemporaryError(reason="nss-failed")."""
        ...


@dataclass(frozen=True, slots=True)
class Measured:
    """The content of a home."""

    files: int
    bytes: int
    """Disk space (st_blocks), counted once per name."""
    complete: bool
    """Whether everything was counted."""
    top: tuple[str, ...] = ()
    """The names directly in it, sorted; at most 50."""


class AccountRemoval(Protocol):
    """Deletes an account that eventd created. Every step is destructive and cannot be undone."""

    async def refusal(self, account: Account) -> str:
        """Return why the account must not be deleted (a person uses it, it has a system uid), or an empty string."""
        ...

    async def measure(self, account: Account, *, timeout: float) -> Measured:
        """Count the files in the home, as far as possible within the time."""
        ...

    async def end_processes(self, account: Account, *, timeout: float) -> None:
        """Kill every process under the account's uid and subordinate ids; return when none is left."""
        ...

    async def discard_home(self, account: Account, *, timeout: float) -> None:
        """Delete the home with everything in it, following no links. Idempotent; continues an interrupted deletion."""
        ...

    async def sweep(self, account: Account, *, timeout: float) -> tuple[str, ...]:
        """Remove its files outside its home; return those left behind, each as a path and a reason. Idempotent.

        After `end_processes`: temporary folders, spools, shared memory and other System V objects.
        """
        ...

    async def delete(self, account: Account, *, timeout: float) -> None:
        """Delete the account with its group and subordinate ids (userdel(8)). Idempotent."""
        ...
