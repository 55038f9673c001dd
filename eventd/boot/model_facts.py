"""Which facts the record of a boot is about, and what is behind each: a system unit, or another workload.

Pure. Splits gates into the parts that a hold names (`eventd.gates.model_predicates.missing`).
"""

from __future__ import annotations

from collections.abc import Iterator

from eventd.gates.model_predicate_atoms import ContainerHealthy, ManagerUp, Present, UnitIs, WorkloadIs
from eventd.gates.model_predicates import All, Any, Predicate, atoms
from eventd.kernel.model.facts import FactKey, Facts
from eventd.mounts.model_facts import MountFact
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.systemd.model_user_manager import manager_unit

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:_.")


def parts(predicate: Predicate | None) -> Iterator[Predicate]:
    """Yield the parts of a predicate, as `missing` splits it."""
    match predicate:
        case None:
            return
        case All(members):
            for member in members:
                yield from parts(member)
        case Any(members) if len(members) == 1:
            yield from parts(members[0])
        case _:
            yield predicate


def brought_by(predicate: Predicate, facts: Facts) -> tuple[str, str]:
    """Return the (system unit, workload) behind a part; each is empty if there is none, or it is unknown.

    For an `any`, the member that holds decides, so call this once it holds.
    """
    for atom in atoms(predicate):
        if isinstance(predicate, Any) and not atom.holds(facts):
            continue
        match atom:
            case UnitIs(name=name, workload=""):
                return name, ""
            case UnitIs(workload=workload) | ContainerHealthy(workload=workload) | WorkloadIs(name=workload):
                return "", workload
            case ManagerUp(user=user):
                return manager_of(user, facts), user
            case Present(kind=MountFact.MOUNT, name=name):
                return unit_of_path(name, "mount"), ""
            case Present(kind=MountFact.DEVICE, name=name):
                return unit_of_path(f"/dev/disk/by-uuid/{name}", "device"), ""
            case _:
                return "", ""
    return "", ""


def manager_of(user: str, facts: Facts) -> str:
    """Return the unit of a user's manager; empty if the account is unknown."""
    account = facts.get(FactKey(PlatformFact.ACCOUNT, user))
    return manager_unit(account.uid) if isinstance(account, Account) else ""


def unit_of_path(path: str, suffix: str) -> str:
    """Return the unit that systemd makes for a path (systemd-escape(1), `--path`)."""
    stripped = "/".join(filter(None, path.split("/")))
    if not stripped:
        return f"-.{suffix}"
    escaped = "".join(
        "-"
        if char == "/"
        else char
        if char in _PLAIN and not (char == "." and at == 0)
        else _hexadecimal(char)
        for at, char in enumerate(stripped)
    )
    return f"{escaped}.{suffix}"


def _hexadecimal(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode())
