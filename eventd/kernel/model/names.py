"""Names: the rules for names of workloads, hosts and unit files, and suggestions for misspelt ones.

Pure. A workload's name is also its Linux user and its folder, so the strictest of the three rules applies.
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
_UNIT = re.compile(r"[A-Za-z0-9:_.\\-]+(?:@[A-Za-z0-9:_.\\-]*)?\.[a-z]+")
_MAX_UNIT = 255
_LOADED = re.compile(r"[A-Za-z0-9:_.\\@-]+\.[a-z]+")

RESERVED = frozenset(
    {"root", "nobody", "nogroup", "daemon", "bin", "sys", "sync", "messagebus", "dbus", "polkitd", "sshd"}
)
"""Accounts that every host has. No workload may have these names."""
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
"""Accounts of Debian's base-passwd and Fedora's setup. eventd adopts none of them."""


def user_problem(name: str, protected: Iterable[str] = ()) -> tuple[str, str] | None:
    """Return (code, sentence) if no workload may have this name: useradd(8) refuses it, or the account is protected."""
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
    """Return (code, sentence) if no new workload may have this name: see `user_problem`, or its group has rights."""
    if problem := user_problem(name, protected):
        return problem
    if name in PRIVILEGED:
        return "privileged-name", (
            f"{name!r} is the name of a group with rights, and an account's own group is named after the account:"
            f" a group {name} {PRIVILEGED[name]}"
        )
    return None


def unit_is_valid(name: str) -> bool:
    """Return whether it is a valid unit name, including templates and instances (systemd.unit(5))."""
    return len(name) <= _MAX_UNIT and bool(_UNIT.fullmatch(name))


def loaded_unit_is_valid(name: str) -> bool:
    """Return whether a manager can have a unit of this name, with any instance and escapes."""
    return len(name) <= _MAX_UNIT and bool(_LOADED.fullmatch(name))


def nearest(wrong: str, right: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the most similar candidate, ignoring case; None if none is similar. `cutoff` 1: identical."""
    by_lower = {candidate.lower(): candidate for candidate in sorted(right)}
    found = difflib.get_close_matches(wrong.lower(), by_lower, n=1, cutoff=cutoff)
    return by_lower[found[0]] if found else None


def did_you_mean(wrong: str, right: Iterable[str]) -> str:
    """Return a hint that names the most similar candidate, or all if there are few; else empty."""
    candidates = sorted(right)
    if near := nearest(wrong, candidates):
        return f"did you mean {near}?"
    return f"one of: {', '.join(candidates)}" if 0 < len(candidates) <= 8 else ""
