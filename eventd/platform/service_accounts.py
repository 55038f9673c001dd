"""The unprivileged accounts of eventd's own, that git and checks run as.

systemd-sysusers(8) writes them into /etc/passwd, so they are read from there: the daemon starts though a name service
does not answer. One that is not there is looked up in NSS, in a thread and with a deadline.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from eventd.platform import nss
from eventd.platform.processes.process import ServiceAccount


@dataclass(frozen=True, slots=True)
class ServiceAccounts:
    """Those that were found, by name."""

    rows: Mapping[str, ServiceAccount] = field(default_factory=dict)

    @staticmethod
    def local(names: Iterable[str], etc: Path = Path("/etc")) -> ServiceAccounts:
        """Read passwd(5) and group(5); asks no name service."""
        found = {name: _local(name, etc) for name in names}
        return ServiceAccounts({name: row for name, row in found.items() if row is not None})


def _from_nss(name: str) -> ServiceAccount:
    row = pwd.getpwnam(name)
    return ServiceAccount(row.pw_uid, row.pw_gid, tuple(os.getgrouplist(row.pw_name, row.pw_gid)))


async def look_up(
    names: Iterable[str],
    etc: Path = Path("/etc"),
    ask: Callable[[str], ServiceAccount | None] = _from_nss,
) -> ServiceAccounts:
    """Return these accounts. Raises TemporaryError(reason="nss-failed"): one is not local, and NSS does not answer."""
    wanted = list(names)
    rows = dict(ServiceAccounts.local(wanted, etc).rows)
    for name in wanted:
        if name in rows:
            continue
        hint = f"getent passwd {name}; see nsswitch.conf(5)"
        found = await nss.ask(partial(ask, name), f"the account {name}", hint=hint)
        if found is not None:
            rows[name] = found
    return ServiceAccounts(rows)


def _local(name: str, etc: Path) -> ServiceAccount | None:
    for row in _rows(etc / "passwd"):
        if row[0] == name and len(row) > 3 and row[2].isdecimal() and row[3].isdecimal():
            uid, gid = int(row[2]), int(row[3])
            groups = [
                int(each[2])
                for each in _rows(etc / "group")
                if len(each) > 3 and each[2].isdecimal() and name in each[3].split(",")
            ]
            return ServiceAccount(uid, gid, tuple(dict.fromkeys((gid, *groups))))
    return None


def _rows(path: Path) -> Iterator[list[str]]:
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return
    yield from (line.split(":") for line in text.splitlines())
