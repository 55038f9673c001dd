"""What this host has under the names of workloads: accounts, groups, and which of them are eventd's, for `check`.

Reads NSS and, as root, the marks of eventd's accounts beside its state file. Asks no daemon: a host may be checked
before it has one. What follows is `eventd.accounts.model_host_accounts`' to say.
"""

from __future__ import annotations

import contextlib
import grp
import pwd
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from pathlib import Path

from eventd.accounts.model_host_accounts import Taken


def taken(names: Iterable[str], state: str) -> Taken:
    """Return what stands under these names; `state`: the folder of the daemon's state."""
    accounts: dict[str, int] = {}
    groups: dict[str, int] = {}
    for name in names:
        with contextlib.suppress(KeyError):
            accounts[name] = pwd.getpwnam(name).pw_uid
        with contextlib.suppress(KeyError):
            groups[name] = grp.getgrnam(name).gr_gid
    return Taken(accounts, groups, _ours(Path(state, "accounts")))


def _ours(markers: Path) -> AbstractSet[str] | None:
    """Return the accounts with a mark; None where they cannot be read."""
    try:
        return {path.stem for path in markers.iterdir() if path.suffix == ".json"}
    except FileNotFoundError:
        return frozenset()
    except PermissionError:
        return None
