"""For `check`: the accounts and groups of this host that have the names of workloads, and which of them are eventd's.

Reads NSS and, as root, the ownership markers beside the state file. It does not ask the daemon: a host can be checked
before it has one. `eventd.accounts.model_host_accounts` draws the conclusions.
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
    """Return the accounts and groups with these names. `state`: the folder of the daemon's state."""
    accounts: dict[str, int] = {}
    groups: dict[str, int] = {}
    for name in names:
        with contextlib.suppress(KeyError):
            accounts[name] = pwd.getpwnam(name).pw_uid
        with contextlib.suppress(KeyError):
            groups[name] = grp.getgrnam(name).gr_gid
    return Taken(accounts, groups, _ours(Path(state, "accounts")))


def _ours(markers: Path) -> AbstractSet[str] | None:
    """Return the accounts that have a marker; None if the markers cannot be read."""
    try:
        return {path.stem for path in markers.iterdir() if path.suffix == ".json"}
    except FileNotFoundError:
        return frozenset()
    except PermissionError:
        return None
