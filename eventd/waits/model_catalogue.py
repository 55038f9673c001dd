"""The units of a graph, by manager and name: the system manager and each user manager have separate names.

Pure. Owns the look-up: aliases, and which unit runs a container. Next: `model_ordering` and `model_requirements`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from eventd.waits.model_units import Listener, UnitSpec

Key = tuple[str, str]
"""Scope (empty for the system manager) and name."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All known units."""

    specs: Mapping[Key, UnitSpec]
    aliases: Mapping[Key, str] = field(default_factory=dict)
    """Alias -> the unit's name."""
    listeners: tuple[Listener, ...] = ()
    hostnames: frozenset[str] = frozenset()
    """Names of this host besides localhost, in lower case."""
    containers: Mapping[Key, str] = field(default_factory=dict)
    """Workload and container -> the unit that runs it."""

    def find(self, name: str, scope: str = "") -> UnitSpec | None:
        """Return a unit by name or alias; None if there is none."""
        return self.specs.get((scope, self.aliases.get((scope, name), name)))

    def names(self, scope: str = "") -> frozenset[str]:
        """Return all names that `find` knows in a scope."""
        return frozenset(name for each, name in (*self.specs, *self.aliases) if each == scope)


def by_key(specs: Iterable[UnitSpec]) -> dict[Key, UnitSpec]:
    """Return specs by scope and name; of two with the same name, the later one."""
    return {(spec.scope, spec.name): spec for spec in specs}


def unit_id(name: str, scope: str = "") -> str:
    """Return the id of a unit's node."""
    return f"unit:{scope}/{name}" if scope else f"unit:{name}"


def node_of(spec: UnitSpec) -> str:
    """Return the id of a unit's node."""
    return unit_id(spec.name, spec.scope)
