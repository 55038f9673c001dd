"""Names: what a workload, a host, a unit file may be called, and the nearest right spelling of a wrong one.

Pure rules. A workload's name is also its Linux user and its directory, so the strictest of the three holds.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

from eventd.kernel.model.privileged_names import PRIVILEGED

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_USER = 32
"""utmp and useradd(8): longer names are cut off or refused."""
_USER = re.compile(r"[a-z_][a-z0-9_-]*")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9][A-Za-z0-9-]{0,62})*")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\-]+(?:@[A-Za-z0-9:_.\\-]*)?\.[a-z]+")
_MAX_UNIT = 255
_LOADED = re.compile(r"[A-Za-z0-9:_.\\@-]+\.[a-z]+")

RESERVED = frozenset(
    {"root", "nobody", "nogroup", "daemon", "bin", "sys", "sync", "messagebus", "dbus", "polkitd", "sshd"}
)
"""Accounts that any host has, and that no workload may be."""
RESERVED_PREFIXES = ("systemd-", "eventd")
DISTRIBUTION = frozenset(
    {
        *(
            "adm",
            "backup",
            "ftp",
            "games",
            "gnats",
            "halt",
            "irc",
            "list",
            "lp",
            "mail",
            "man",
            "news",
            "operator",
        ),
        *("proxy", "shutdown", "uucp", "www-data", "tss", "uuidd", "chrony", "rpc", "rpcuser"),
    },
)
"""Accounts of Debian's base-passwd and Fedora's setup: a host may have them, and eventd adopts none."""


def user_problem(name: str, protected: Iterable[str] = ()) -> tuple[str, str] | None:
    """Return (code, sentence) if no workload may have this name: useradd(8), or an account to protect."""
    if not name:
        return "bad-name", "the name is empty"
    if len(name) > MAX_USER:
        return "bad-name", f"{name!r} is longer than {MAX_USER} characters, the limit of a Linux user name"
    if name.isdigit():
        return "bad-name", f"{name!r} is all digits, which tools take for a uid"
    if not _USER.fullmatch(name):
        return "bad-name", (f"{name!r} is not a Linux user name: a-z or _ first, then a-z, 0-9, _ and -")
    if name in RESERVED or name.startswith(RESERVED_PREFIXES):
        return "reserved-name", f"{name!r} is the name of a system account"
    if name in protected:
        return "protected-name", f"{name!r} is a protected account of this host"
    return None


def workload_problem(name: str, protected: Iterable[str] = ()) -> tuple[str, str] | None:
    """Return (code, sentence) if no new workload may have this name: as `user_problem`, or it would give rights."""
    if problem := user_problem(name, protected):
        return problem
    if name in PRIVILEGED:
        return "privileged-name", (
            f"{name!r} is the name of a group with rights, and an account's own group is called as the account:"
            f" a group {name} {PRIVILEGED[name]}"
        )
    return None


def host_is_valid(name: str) -> bool:
    """Tell whether it can be a host name (RFC 1123), and so the stem of a file in `hosts/`."""
    return bool(_HOST.fullmatch(name))


def unit_is_valid(name: str) -> bool:
    """Tell whether systemd takes it for a unit name, template or instance included (systemd.unit(5))."""
    return len(name) <= _MAX_UNIT and bool(_UNIT.fullmatch(name))


def loaded_unit_is_valid(name: str) -> bool:
    """Tell whether a manager can have a unit of this name: any instance, any escapes."""
    return len(name) <= _MAX_UNIT and bool(_LOADED.fullmatch(name))


def nearest(wrong: str, right: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the most similar of the right spellings, whatever its case, or None if none is close (1: the same)."""
    by_lower = {candidate.lower(): candidate for candidate in sorted(right)}
    found = difflib.get_close_matches(wrong.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(wrong: str, right: Iterable[str]) -> str:
    """Return a hint that names the nearest right spelling, or all of them if there are few, or nothing."""
    candidates = sorted(right)
    if near := nearest(wrong, candidates):
        return f"did you mean {near}?"
    return f"one of: {', '.join(candidates)}" if 0 < len(candidates) <= 8 else ""
