"""A domain: everything that a capability adds to eventd, as one object.

`eventd/<name>/domain.py` defines it as DOMAIN; `eventd.domains` lists the names. Everything is checked before anything
runs. Refused are a fact or event kind that two domains use, and an action without a handler, an ending or a
reversibility.
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
    """The order in which policies are asked. The first verdict other than Allow counts and is reported."""

    OVERRIDE = 1
    """An operator suspended the workload: no other verdict matters."""
    KNOWN = 2
    """Facts that have not been read: nothing is done or judged without them."""
    PASSING = 3
    """The subject is being removed or renamed."""
    OWNERSHIP = 4
    """What eventd did not make is never changed."""
    CONDITION = 5
    """What the host must provide."""
    GATE = 6
    """What the subject waits for, without anybody acting."""
    SIGNATURE = 7
    """Last, so that nobody is asked to sign an action that would not be carried out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What policies need to know of the host."""

    settings: Any
    """`eventd.settings.Settings`."""
    actions: ActionTable
    root: bool
    """eventd runs as root, so the host's rules for accounts apply."""


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One policy of a domain."""

    stage: Stage
    make: Callable[[Host], Policy]


@dataclass(slots=True, kw_only=True)
class Context:
    """What a domain gets: the configuration, the facts, and the ports and sources that other domains share."""

    settings: Any
    """`eventd.settings.Settings`."""
    emit: Emit
    facts: Facts
    wall: Callable[[], float] = time.time
    """Seconds since the epoch."""
    local: bool = True
    """The accounts are those of this system. Otherwise a simulator has shared its own."""
    etc: str = "/etc"
    """The folder of passwd(5) and group(5)."""
    _shared: dict[type[Any], Any] = field(default_factory=dict)

    def share(self, kind: type[T], value: T) -> T:
        """Share a port or source with other domains, by its type. Raises PermanentError(reason="bad-domain")."""
        if kind in self._shared:
            raise PermanentError(f"two domains share a {_name(kind)}", reason="bad-domain")
        self._shared[kind] = value
        return value

    def find(self, kind: type[T]) -> T | None:
        """Return the shared object of this type; None if this host has none."""
        found: T | None = self._shared.get(kind)
        return found

    def need(self, kind: type[T]) -> T:
        """Return the shared object of this type. Raises PermanentError(reason="bad-domain") if there is none."""
        found = self.find(kind)
        if found is None:
            raise PermanentError(
                f"no domain shares a {_name(kind)}",
                reason="bad-domain",
                hint="list the domain that shares it earlier in the list of domains",
            )
        return found


def _name(kind: type[Any]) -> str:
    return f"{kind.__module__}.{kind.__name__}"


class Run(Protocol):
    """A source's main function. It runs until it fails or is cancelled; it has started once its facts are current."""

    async def __call__(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Read everything, then report changes. Raises EventdError; the supervisor then restarts it."""
        ...


class Source(NamedTuple):
    """One source of a domain. It is supervised; the status reports it if its facts cannot be read."""

    name: str
    run: Run
    state: SourceState | None = None
    """Where it records why it cannot read. None: it raises instead."""
    reread: Callable[[], Awaitable[None]] | None = None
    """Reads everything again, as a signal may have been lost, and returns when that is done.

    None: the source does not depend on signals alone.
    """
    invalidate: Callable[[], None] | None = None
    """Instead of `reread`, for slow reads in a workload's home: requests a read without waiting for it."""
    vital: bool = False
    """All others depend on it. If it ends, the daemon ends, and the next process reads everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The controllers and handlers of a domain."""

    controllers: tuple[Controller, ...] = ()
    handlers: Mapping[type[Any], Handler] = field(default_factory=dict)
    """Handlers that need a controller or a shared object."""


def unconnected(context: Context) -> Iterable[Source]:
    """Connect to nothing: the domain has no sources and no adapters."""
    del context
    return ()


def nothing(context: Context) -> Built:
    """Build nothing: the domain has no controllers."""
    del context
    return Built()


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """Everything that one domain adds."""

    name: str
    """The name of its folder."""
    facts: tuple[type[FactKind], ...] = ()
    """The kinds of its facts."""
    events: tuple[type[EventKind], ...] = ()
    """The kinds of its events."""
    origins: tuple[type[Origin], ...] = ()
    """The origins of its events."""
    actions: tuple[ActionRow, ...] = ()
    """Its actions: how an interrupted step of each is settled, and what each means for data."""
    handlers: Mapping[type[Any], Handler] = field(default_factory=dict)
    """Action class -> handler, except for the handlers that `build` makes."""
    policies: tuple[PolicyRow, ...] = ()
    """Its policies."""
    settings: Mapping[str, type[Any]] = field(default_factory=dict)
    """Its tables in eventd.toml, by their keys (`eventd.kernel.settings_table.Table`): those of its `settings.py`."""
    routes: tuple[Any, ...] = ()
    """Its routes (`eventd.api.routing.Route`)."""
    metrics: tuple[Callable[[Any], Iterable[Any]], ...] = ()
    """Each yields metric families (`prometheus_client`), given the `Queries`."""
    connect: Callable[[Context], Iterable[Source]] = unconnected
    """Makes its sources and adapters on a real host, and shares what other domains need. Nothing runs yet."""
    build: Callable[[Context], Built] = nothing
    """Makes its controllers, and the handlers that need them, from what is shared. The same on a simulated host."""


KERNEL = Domain(name="kernel", facts=(KernelFact,), events=(KernelEvent,), origins=(KernelOrigin,))
"""The kernel's own fact, event and origin kinds."""


class Domains:
    """The domains of one daemon. Raises PermanentError(reason="bad-domain") if two conflict."""

    def __init__(self, domains: Iterable[Domain]) -> None:
        """Check and combine the domains, in the order of the list."""
        self._all = (KERNEL, *(each for each in domains if each is not KERNEL))
        _unique("domain", ((each.name, each.name) for each in self._all))
        self.facts = _members("fact kind", (kind for each in self._all for kind in each.facts))
        self.events = _members("event kind", (kind for each in self._all for kind in each.events))
        self.origins = _members("origin", (origin for each in self._all for origin in each.origins))
        self.routes = tuple(route for each in self._all for route in each.routes)
        """The routes of all domains, in the order of the list."""
        _unique(
            "route",
            ((f"{r.method} {r.path}", f"{r.handle.__module__}.{r.handle.__name__}") for r in self.routes),
        )
        _unique("right", {r.name: (r.name, f"{r.name} ({r.text})") for r in self.rights()}.values())
        _unique("table of settings", ((key, each.name) for each in self._all for key in each.settings))
        self.handlers = _handlers(self._all)
        """The handlers that `build` does not make."""
        self.metrics = tuple(metric for each in self._all for metric in each.metrics)
        self.settings = {key: table for each in self._all for key, table in each.settings.items()}
        """Key in eventd.toml -> table, of all domains."""
        self.actions = ActionTable(row for each in self._all for row in each.actions)

    def __iter__(self) -> Iterator[Domain]:
        return iter(self._all)

    def connect(self, context: Context, besides: Collection[str] = ()) -> tuple[Source, ...]:
        """Connect all domains except those in `besides`, in the order of the list.

        Raises PermanentError(reason="bad-domain") if two sources share a name, or if something needed is not shared.
        """
        domains = (each for each in self._all if each.name not in besides)
        sources = tuple(source for each in domains for source in each.connect(context))
        _unique("source", ((source.name, source.name) for source in sources))
        return sources

    def build(self, context: Context) -> Built:
        """Build all domains. Raises PermanentError(reason="bad-domain") if an action has two handlers."""
        built = [each.build(context) for each in self._all]
        return Built(
            controllers=tuple(controller for each in built for controller in each.controllers),
            handlers=_handlers((*self._all, *built)),
        )

    def rights(self) -> tuple[Any, ...]:
        """Return the rights (`eventd.api.model_rights.Right`) of all routes, in the order of the routes."""
        return tuple(dict.fromkeys(right for r in self.routes for right in (r.right, *r.queries.values())))

    def policies(self, host: Host) -> tuple[Policy, ...]:
        """Return the policies in the order in which they are asked: by stage, then by domain."""
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
    """Refuse values that two domains use. Such members would be equal, so one domain would see the other's facts."""
    known: dict[str, str] = {}
    for value, owner in found:
        if value in known:
            raise PermanentError(
                f"two domains have the {what} {value}: {known[value]} and {owner}",
                reason="bad-domain",
                hint="give one of them another name",
            )
        known[value] = owner
