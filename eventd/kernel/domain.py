"""A domain: everything that a capability adds to eventd, as one object.

`eventd/<name>/domain.py` has it under the name DOMAIN, and `eventd.domains` lists the names. What is registered is
checked before anything runs: a value of a fact or an event kind that two domains use, an action without a handler,
an ending or a class of reversibility is refused.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple, Protocol, TypeVar

from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.kernel.controller import Controller
from eventd.kernel.executor import Handler
from eventd.kernel.model.action_table import ActionRow, ActionTable
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import Emit, EventKind, KernelEvent, KernelOrigin, Origin
from eventd.kernel.model.facts import FactKind, Facts, KernelFact
from eventd.kernel.model.source_state import SourceState
from eventd.kernel.model.verdicts import Policy

T = TypeVar("T")


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


@dataclass(slots=True, kw_only=True)
class Context:
    """What a domain is made from: the configuration, the facts, and what other domains share by its type."""

    settings: Any
    """`eventd.settings.Settings`."""
    emit: Emit
    facts: Facts
    wall: Callable[[], float] = time.time
    """Seconds since the epoch."""
    local: bool = True
    """The accounts are those of this system; else a simulator has shared its own."""
    etc: str = "/etc"
    """The folder with the databases of the accounts."""
    _shared: dict[type[Any], Any] = field(default_factory=dict)

    def share(self, kind: type[T], value: T) -> T:
        """Let other domains have this port or source, under its type. Raises PermanentError(reason="bad-domain")."""
        if kind in self._shared:
            raise PermanentError(f"two domains share a {_name(kind)}", reason="bad-domain")
        self._shared[kind] = value
        return value

    def find(self, kind: type[T]) -> T | None:
        """Return what is shared under this type; None: nothing is, on this host."""
        found: T | None = self._shared.get(kind)
        return found

    def need(self, kind: type[T]) -> T:
        """Return what is shared under this type. Raises PermanentError(reason="bad-domain")."""
        found = self.find(kind)
        if found is None:
            raise PermanentError(
                f"no domain shares a {_name(kind)}",
                reason="bad-domain",
                hint="the domain that makes it has to come earlier in the list of domains",
            )
        return found


def _name(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__name__}"


class Run(Protocol):
    """What a source does, until it fails or is cancelled; it has started when its facts are current."""

    async def __call__(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Read, and go on telling what changes. Raises EventdError; it is then begun anew."""
        ...


class Source(NamedTuple):
    """One source of a domain. It is supervised, and the status says if its facts cannot be read."""

    name: str
    run: Run
    state: SourceState | None = None
    """Where it keeps why it cannot read; None: it fails instead."""
    reread: Callable[[], Awaitable[None]] | None = None
    """Reads everything once more, since nobody can say that no signal was ever lost; returns when that is done.

    None: signals are not all it has.
    """
    invalidate: Callable[[], None] | None = None
    """Instead of `reread`, of what may be slow and is a workload's: it is read again without being waited for."""
    vital: bool = False
    """The others stand on it: its end is the daemon's, and the next one reads everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a domain decides and acts with in one daemon."""

    controllers: tuple[Controller, ...] = ()
    handlers: Mapping[type[Any], Handler] = field(default_factory=dict)
    """How actions are done that need something of the others."""


def unconnected(context: Context) -> Iterable[Source]:
    """Connect to nothing: the domain has no source and no adapter."""
    del context
    return ()


def nothing(context: Context) -> Built:
    """Build nothing: the domain has no controller of its own."""
    del context
    return Built()


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
    handlers: Mapping[type[Any], Handler] = field(default_factory=dict)
    """How each is done; those that need something of `build` come from there."""
    policies: tuple[PolicyRow, ...] = ()
    """What may be done."""
    settings: Mapping[str, type[Any]] = field(default_factory=dict)
    """Its tables in eventd.toml, by their keys (`eventd.kernel.settings_table.Table`): those of its `settings.py`."""
    routes: tuple[Any, ...] = ()
    """What can be asked about it over the socket: `eventd.api.routing.Route`."""
    metrics: tuple[Callable[[Any], Iterable[Any]], ...] = ()
    """Each yields families of metrics (`prometheus_client`), given what the API knows of the daemon."""
    connect: Callable[[Context], Iterable[Source]] = unconnected
    """Makes its sources and adapters on a real host, and shares what others need; nothing runs yet."""
    build: Callable[[Context], Built] = nothing
    """Makes its controllers, and the handlers that need them, over what is shared; the same over a simulated host."""


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
        _unique("table of settings", ((key, each.name) for each in self._all for key in each.settings))
        self.handlers = _handlers(self._all)
        """Those that need nothing of `build`."""
        self.metrics = tuple(metric for each in self._all for metric in each.metrics)
        self.settings = {key: table for each in self._all for key, table in each.settings.items()}
        """The tables of the configuration, by their keys."""
        self.actions = ActionTable(row for each in self._all for row in each.actions)

    def __iter__(self) -> Iterator[Domain]:
        return iter(self._all)

    def connect(self, context: Context, besides: Collection[str] = ()) -> tuple[Source, ...]:
        """Connect all but those that are named, in the order of the list.

        Raises PermanentError(reason="bad-domain") for two sources of one name, and for what is needed and not shared.
        """
        domains = (each for each in self._all if each.name not in besides)
        sources = tuple(source for each in domains for source in each.connect(context))
        _unique("source", ((source.name, source.name) for source in sources))
        return sources

    def build(self, context: Context) -> Built:
        """Build all. Raises PermanentError(reason="bad-domain") for two handlers of one action."""
        built = [each.build(context) for each in self._all]
        return Built(
            controllers=tuple(controller for each in built for controller in each.controllers),
            handlers=_handlers((*self._all, *built)),
        )

    def rights(self) -> tuple[Any, ...]:
        """Return the rights (`eventd.api.model_rights.Right`) that routes need, in their order."""
        return tuple(dict.fromkeys(right for r in self.routes for right in (r.right, *r.queries.values())))

    def policies(self, host: Host) -> tuple[Policy, ...]:
        """Return the policies as they are asked: by stage, within one in the order of the list of domains."""
        rows = (row for each in self._all for row in each.policies)
        return tuple(row.make(host) for row in sorted(rows, key=lambda row: row.stage))


def _handlers(parts: Iterable[Domain | Built]) -> dict[type[Any], Handler]:
    found = [(action, handler) for each in parts for action, handler in each.handlers.items()]
    _unique("handler of", ((f"{a.__module__}.{a.__name__}", repr(h)) for a, h in found))
    return dict(found)


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
