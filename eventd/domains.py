"""The domains of this eventd: the one list. To add a capability: its folder, and its name here.

The daemon loads `eventd.<name>.domain` of each. The order counts where two policies of one stage both have something
to say: the domain that stands further up speaks first.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from eventd.kernel.domain import Domain, Domains

NAMES = (
    "status",
    "platform",
    "desired",
    "unitfiles",
    "repository",
    "workloads",
    "managers",
    "accounts",
    "audit",
    "files",
    "containers",
    "updates",
    "health",
    "mounts",
    "storage",
    "adoption",
    "compose",
    "gates",
    "waits",
    "overrides",
    "approvals",
    "removal",
    "state",
    "boot",
    "doctor",
)


def load(names: Iterable[str] = NAMES, extra: Iterable[Domain] = ()) -> Domains:
    """Import and check the domains; `extra`: further ones. Raises PermanentError(reason="bad-domain")."""
    from eventd.kernel.domain import Domains  # noqa: PLC0415  eventctl needs none of it

    return Domains((*(module.DOMAIN for module in modules("domain", names)), *extra))


def tables(names: Iterable[str] = NAMES) -> dict[str, Any]:
    """Return the tables in eventd.toml, by their keys, and import nothing else of the domains."""
    return {key: kind for module in modules("settings", names) for key, kind in module.TABLES.items()}


def modules(role: str, names: Iterable[str]) -> list[ModuleType]:
    """Import one role of each domain that has it; a name with a dot in it is a package elsewhere."""
    found = []
    for name in names:
        module = f"{name if '.' in name else f'eventd.{name}'}.{role}"
        try:
            found.append(importlib.import_module(module))
        except ModuleNotFoundError as error:
            if error.name != module:  # the domain has that role, and something that it needs is missing
                raise
    return found
