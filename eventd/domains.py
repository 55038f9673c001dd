"""The domains of this eventd: the one list. To add a capability: its folder, and its name here.

The daemon loads `eventd.<name>.domain` of each. The order counts where two policies of one stage both have something
to say: the domain that stands further up speaks first.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from eventd.kernel.domain import Domain, Domains

NAMES = (
    "platform",
    "repository",
    "workloads",
    "accounts",
    "files",
    "containers",
    "health",
    "mounts",
    "storage",
    "adoption",
    "compose",
    "gates",
    "updates",
    "overrides",
    "audit",
    "approvals",
    "state",
    "status",
)


def load(names: Iterable[str] = NAMES, extra: Iterable[Domain] = ()) -> Domains:
    """Import and check the domains; `extra`: further ones. Raises PermanentError(reason="bad-domain")."""
    found = (importlib.import_module(f"eventd.{name}.domain").DOMAIN for name in names)
    return Domains((*found, *extra))
