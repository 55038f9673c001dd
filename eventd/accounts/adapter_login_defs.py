"""The administrator's settings for new accounts: login.defs(5), useradd's defaults, and group(5).

Reads files synchronously, in the worker threads of `eventd.accounts.adapter`; writes none. A missing file or key means
the default documented in shadow's manual pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_UID_MIN = 1000
_SUB_MIN = 100_000
_SUB_MAX = 600_100_000


def uid_min(etc: Path) -> int:
    """Return UID_MIN, the first id of regular accounts. Raises OSError if the file cannot be read."""
    return _number(_settings(etc / "login.defs", None), "UID_MIN", _UID_MIN)


def uid_max(etc: Path) -> int:
    """Return UID_MAX, the last id of regular accounts. Raises OSError if the file cannot be read."""
    return _number(_settings(etc / "login.defs", None), "UID_MAX", 60000)


def subordinate_limits(etc: Path, database: str) -> tuple[int, int]:
    """Return the lowest and highest subordinate id (`subuid` or `subgid`), inclusive. Raises OSError."""
    settings = _settings(etc / "login.defs", None)
    kind = "SUB_UID" if database == "subuid" else "SUB_GID"
    return _number(settings, f"{kind}_MIN", _SUB_MIN), _number(settings, f"{kind}_MAX", _SUB_MAX)


def home_base(etc: Path) -> str:
    """Return the folder in which useradd creates homes (`HOME` of default/useradd). Raises OSError."""
    return _settings(etc / "default/useradd", "=").get("HOME", "/home").rstrip("/")


def has_group(etc: Path, name: str) -> bool:
    """Return whether the group is local, so that useradd can add members. Raises OSError."""
    try:
        text = (etc / "group").read_text("utf-8", "replace")
    except FileNotFoundError:
        return False
    return any(line.startswith(f"{name}:") for line in text.splitlines())


def _settings(path: Path, separator: str | None) -> dict[str, str]:
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return {}
    settings = {}
    for line in text.splitlines():
        parts = line.strip().split(separator, 1)
        if len(parts) == 2 and not line.lstrip().startswith("#"):
            settings[parts[0].strip()] = parts[1].strip().strip('"')
    return settings


def _number(settings: dict[str, str], key: str, default: int) -> int:
    """Return a setting as shadow reads it: decimal, octal or hexadecimal."""
    try:
        return int(settings.get(key, ""), 0)
    except ValueError:
        return default
