"""The system unit that runs a user's manager (user@.service(5)). Pure."""

from __future__ import annotations

_PREFIX, _SUFFIX = "user@", ".service"


def manager_unit(uid: int) -> str:
    """Return the system unit that runs a user's manager (user@.service(5))."""
    return f"{_PREFIX}{uid}{_SUFFIX}"


def manager_uid(unit: str) -> int | None:
    """Return the uid of the user whose manager a system unit runs; None: it is another unit."""
    if not (unit.startswith(_PREFIX) and unit.endswith(_SUFFIX)):
        return None
    digits = unit.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return int(digits) if digits.isdecimal() else None
