"""A domain: everything that a capability adds to eventd, as one object.

`eventd/<name>/domain.py` has it under the name DOMAIN, and `eventd.domains` lists the names. What is registered is
checked before anything runs: a value of a fact or an event kind that two domains use, an action without a handler,
an ending or a class of reversibility is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from eventd.kernel.model.action_table import ActionRow, ActionTable
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import EventKind, KernelEvent, KernelOrigin, Origin
from eventd.kernel.model.facts import FactKind, KernelFact
from eventd.kernel.model.verdicts import Policy


class Stage(IntEnum):
    """When a policy is asked. The first verdict that is not Allow counts, so an earlier one is what people read."""

    OVERRIDE = 1
    """An operator has said that a workload is left as it is: nothing else about it matters."""
    KNOWN = 2
    """What is not known is not acted upon, nor judged by."""
    PASSING = 3
    """The subject is on its way out, or to another name."""
    OWNERSHIP = 4
    """What is not eventd's is never touched."""
    CONDITION = 5
    """What the host has to have for it."""
    GATE = 6
    """What it waits for, which comes by itself."""
    SIGNATURE = 7
    """Last, since nobody is asked to sign for what would not be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What policies are made from."""

    settings: Any
    """`eventd.settings.Settings`."""
    actions: ActionTable
    root: bool
    """eventd runs as root, so the host's rules for accounts count."""


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One policy of a domain."""

    stage: Stage
    make: Callable[[Host], Policy]


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What one domain adds."""

    name: str
    """That of its folder."""
    facts: tuple[type[FactKind], ...] = ()
    """The kinds of its facts."""
    events: tuple[type[EventKind], ...] = ()
    """The kinds of its events."""
    origins: tuple[type[Origin], ...] = ()
    """Who tells of them."""
    actions: tuple[ActionRow, ...] = ()
    """What it can do, how a step of it ends that was cut off, and what it means for data."""
    policies: tuple[PolicyRow, ...] = ()
    """What may be done."""
    routes: tuple[Any, ...] = ()
    """What can be asked about it over the socket: `eventd.api.routing.Route`."""


KERNEL = Domain(name="kernel", facts=(KernelFact,), events=(KernelEvent,), origins=(KernelOrigin,))
"""What the kernel says itself."""


class Domains:
    """The domains of one daemon. Raises PermanentError(reason="bad-domain") where two do not go together."""

    def __init__(self, domains: Iterable[Domain]) -> None:
        """Take them in, in the order of the list."""
        self._all = (KERNEL, *(each for each in domains if each is not KERNEL))
        _unique("domain", ((each.name, each.name) for each in self._all))
        self.facts = _members("fact kind", (kind for each in self._all for kind in each.facts))
        self.events = _members("event kind", (kind for each in self._all for kind in each.events))
        self.origins = _members("origin", (origin for each in self._all for origin in each.origins))
        self.routes = tuple(route for each in self._all for route in each.routes)
        """Of all, in the order of the list."""
        _unique(
            "route",
            ((f"{r.method} {r.path}", f"{r.handle.__module__}.{r.handle.__name__}") for r in self.routes),
        )
        _unique("right", {r.name: (r.name, f"{r.name} ({r.text})") for r in self.rights()}.values())
        self.actions = ActionTable(row for each in self._all for row in each.actions)

    def __iter__(self) -> Iterator[Domain]:
        return iter(self._all)

    def rights(self) -> tuple[Any, ...]:
        """Return the rights (`eventd.api.model_rights.Right`) that routes need, in their order."""
        return tuple(dict.fromkeys(right for r in self.routes for right in (r.right, *r.queries.values())))

    def policies(self, host: Host) -> tuple[Policy, ...]:
        """Return the policies as they are asked: by stage, within one in the order of the list of domains."""
        rows = (row for each in self._all for row in each.policies)
        return tuple(row.make(host) for row in sorted(rows, key=lambda row: row.stage))


def _members(what: str, kinds: Iterable[type[StrEnum]]) -> tuple[type[StrEnum], ...]:
    found = tuple(kinds)
    _unique(what, ((member.value, f"{kind.__module__}.{kind.__name__}") for kind in found for member in kind))
    return found


def _unique(what: str, found: Iterable[tuple[str, str]]) -> None:
    """Members of two enumerations with one value are equal: one domain's facts would be taken for another's."""
    known: dict[str, str] = {}
    for value, owner in found:
        if value in known:
            raise PermanentError(
                f"two domains have the {what} {value}: {known[value]} and {owner}",
                reason="bad-domain",
                hint="give one of them another name",
            )
        known[value] = owner
