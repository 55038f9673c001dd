"""A domain: everything that a capability adds to eventd, as one object.

`eventd/<name>/domain.py` has it under the name DOMAIN, and `eventd.domains` lists the names. What is registered is
checked before anything runs: a value of a fact or an event kind that two domains use, an action without a handler,
an ending or a class of reversibility is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from eventd.core.errors import PermanentError
from eventd.core.events import EventKind, KernelEvent, KernelOrigin, Origin
from eventd.core.facts import FactKind, KernelFact
from eventd.kernel.action_table import ActionRow, ActionTable


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


KERNEL = Domain(name="kernel", facts=(KernelFact,), events=(KernelEvent,), origins=(KernelOrigin,))
"""What the kernel says itself."""


class Domains:
    """The domains of one daemon. Raises PermanentError(reason="bad-domain") where two do not go together."""

    def __init__(self, domains: Iterable[Domain]) -> None:
        """Take them in, in the order of the list."""
        self._all = (KERNEL, *domains)
        _unique("domain", ((each.name, each.name) for each in self._all))
        self.facts = _members("fact kind", (kind for each in self._all for kind in each.facts))
        self.events = _members("event kind", (kind for each in self._all for kind in each.events))
        self.origins = _members("origin", (origin for each in self._all for origin in each.origins))
        self.actions = ActionTable(row for each in self._all for row in each.actions)

    def __iter__(self) -> Iterator[Domain]:
        return iter(self._all)


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
