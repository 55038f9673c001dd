"""Foreign files beside eventd's, where systemd and Quadlet would load them: the FOREIGN fact of each workload.

Owns which folders are scanned and when, and the subscriptions that trigger a scan:
- the system's folders by the daemon's inotify, once for all workloads;
- the folders of a user by a path unit in that user's own manager (`eventd.audit.adapter_path_unit` says why), as long
  as that manager can be used. After a trigger the folders are scanned once the unit waits again, since it watches
  nothing meanwhile. They are all scanned after a reload, in which systemd drops pending changes of its path units
  (`systemctl revert` removes files and reloads at once). A user whose folders change all the time is left alone for a
  while, and the fact's `problem` says so.

systemd sends no signal for a file that appears there, and computes `NeedDaemonReload` only when it is read. So the
units are read again after each change. Decides nothing: `eventd.audit.model` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio import TASK_STATUS_IGNORED, CapacityLimiter
from anyio.abc import TaskStatus

from eventd.audit import adapter_path_unit as path_unit
from eventd.audit.adapter_foreign_files import Found, of, scan
from eventd.audit.model_events import AuditEvent
from eventd.audit.model_facts import AuditFact, Foreign
from eventd.audit.model_places import (
    WATCH_UNIT,
    Names,
    Place,
    generated_folders,
    user_places,
)
from eventd.audit.source_system_folders import LOOKS, SystemFolders
from eventd.kernel.model.errors import DeadlineError, DisconnectedError, EventdError, TemporaryError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.managers.model_trouble import VIOLATIONS
from eventd.platform.model_events import PlatformOrigin
from eventd.platform.model_facts import Account, ActiveState, PlatformFact, unit
from eventd.platform.processes.blocking_call import BlockingCalls
from eventd.platform.processes.isolated import isolated
from eventd.workloads.model_facts import ManagerState, WorkloadFact

if TYPE_CHECKING:
    from eventd.kernel.model.events import Emit
    from eventd.kernel.model.facts import Facts
    from eventd.managers.source import UserManagersSource
    from eventd.platform.inotify import Inotify
    from eventd.platform.systemd.adapter_systemd1 import SystemdManager

TIMEOUT = 10.0
"""Seconds for one scan, and for the watch to begin."""
_AT_ONCE = 8
_FOLDERS = 64
"""Watched folders per user: each takes one of the user's inotify instances, 128 by default."""
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 300.0
_STEADY = 60.0
"""Seconds that a watch has to last before the pauses are reset."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _User:
    """One workload's user."""

    name: str
    names: Names
    calls: BlockingCalls
    found: Found | None = None
    watch: str = ""
    """The path unit that watches, once it does."""
    since: float = 0.0
    failures: int = 0
    until: float = 0.0
    """Loop time until which it is not watched again."""
    problem: str = ""
    """Why it is not watched."""
    triggered: bool = False
    """It was triggered: the units have to be read again."""
    told: dict[str, tuple[int, ...]] = field(default_factory=dict)
    loaded: dict[str, frozenset[str]] = field(default_factory=dict)
    """Unit -> the files that it was last loaded from."""
    scanning: asyncio.Lock = field(default_factory=asyncio.Lock)


class ProvenanceSource:
    """See the module. `run` has to be running for changes to be seen."""

    def __init__(
        self, emit: Emit, facts: Facts, managers: UserManagersSource, inotify: Inotify, quadlet_root: str
    ) -> None:
        self._emit = emit
        self._facts = facts
        self._managers = managers
        self._users: dict[str, _User] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._limit: CapacityLimiter | None = None
        self._system = SystemFolders(inotify, quadlet_root, self._wake.set)
        self._also: dict[str, frozenset[str]] = {}
        self._subscribers: list[Callable[[str], None]] = []
        inotify.on_gap(self._system.change)
        facts.watch_all(self._fact_changed)

    def subscribe(self, subscriber: Callable[[str], None]) -> None:
        """Call `subscriber` with each workload whose folders were read again, `watch_also`'s among them."""
        self._subscribers.append(subscriber)

    async def want(self, wanted: Mapping[str, Names]) -> None:
        """Set the workloads and the names that concern them. All have been scanned when this returns."""
        for name in self._users.keys() - wanted.keys():
            del self._users[name]
            self._emit_event(name, None)
        await self._system.read()
        fresh = []
        for name, names in wanted.items():
            user = self._users.get(name)
            if user is None or user.names != names:
                self._users[name] = user = user or _User(
                    name, names, BlockingCalls(partial(self._mark, name))
                )
                user.names = names
                fresh.append(user)
        async with anyio.create_task_group() as group:
            for user in fresh:
                group.start_soon(self._alone, user, self._scan_once)
        self._mark(*(user.name for user in fresh))

    def watch_also(self, name: str, paths: frozenset[str]) -> None:
        """Have the workload's own manager watch these paths as well; replaces what was set before."""
        self._also[name] = paths
        self._mark(name)

    def touched(self, uid: int) -> None:
        """A file of eventd's was rewritten with the same content: `NeedDaemonReload` depends on its time."""
        for user in self._users.values():
            account = self._facts.get(FactKey(PlatformFact.ACCOUNT, user.name))
            if isinstance(account, Account) and account.uid == uid:
                user.triggered = True
                self._mark(user.name)

    def invalidate(self) -> None:
        """Schedule a scan of all folders, the system's too."""
        self._system.change()
        self._mark(*self._users)

    async def refresh(self, name: str) -> None:
        """Scan one workload's folders, and the system's, now."""
        self._system.invalidate()
        await self._system.read()
        if (user := self._users.get(name)) is not None:
            await self._scan_once(user)

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Scan what changed, until cancelled; `started` once the system's folders, if known, were read."""
        if self._users:  # a restart of this source
            await self._system.read()
        task_status.started()
        self._mark(*self._users)
        async with anyio.create_task_group() as group:
            while True:
                await self._wake.wait()
                self._wake.clear()
                if self._system.dirty:
                    await self._system.read()
                    for user in self._users.values():
                        if self._set_fact(user):
                            self._mark(user.name)
                names, self._dirty = self._dirty, set()
                for name in names:
                    if (each := self._users.get(name)) is not None:
                        group.start_soon(self._alone, each, self._scan_watched)

    async def _alone(self, user: _User, scan: Callable[[_User], Awaitable[None]]) -> None:
        """Scan one user, isolated: an error of the manager closes only that connection."""
        found: list[EventdError] = []
        await isolated(f"unit folders of {user.name}", partial(scan, user), found.append)
        for error in found:
            self._broken(user, anyio.current_time(), error.message)
            self._set_fact(user)
            if error.reason in VIOLATIONS:
                await self._managers.report_violation(user.name, error)

    def _mark(self, *names: str) -> None:
        self._dirty.update(names)
        self._wake.set()

    def _fact_changed(self, key: FactKey) -> None:
        if key.kind is PlatformFact.UNIT and key.scope in self._users and key.name.startswith(WATCH_UNIT):
            state = unit(self._facts.get(key))
            user = self._users[key.scope]
            if key.name != user.watch or state is None:
                return
            user.triggered = True
            if state.sub != "running":
                self._mark(key.scope)
        elif key.kind is PlatformFact.UNIT and key.scope in self._users:
            self._loaded(self._users[key.scope], key)
        elif key.kind is PlatformFact.RELOADING and key.scope in self._users:
            if self._facts.get(key) is not True:
                self._mark(key.scope)
        elif key.kind in (WorkloadFact.MANAGER, PlatformFact.ACCOUNT) and key.name in self._users:
            if key.kind is WorkloadFact.MANAGER and self._facts.get(key) is ManagerState.DOWN:
                self._users[key.name].watch = ""
            self._mark(key.name)

    def _loaded(self, user: _User, key: FactKey) -> None:
        """A unit was loaded from files that the last scan has not seen, so the scan is outdated."""
        state = unit(self._facts.get(key))
        foreign = self._facts.get(FactKey(AuditFact.FOREIGN, user.name))
        loaded = (
            frozenset((state.fragment_path, state.source_path, *state.drop_ins)) if state else frozenset()
        )
        before = user.loaded.get(key.name, frozenset())
        user.loaded[key.name] = loaded
        if not isinstance(foreign, Foreign):
            return
        if any(foreign.covers(path) and path not in foreign.paths for path in loaded - before):
            self._emit_event(user.name, None)
            self._mark(user.name)

    async def _scan_once(self, user: _User) -> None:
        """Scan once, without a subscription."""
        account = self._facts.get(FactKey(PlatformFact.ACCOUNT, user.name))
        if isinstance(account, Account):
            async with user.scanning:  # an older scan must not end after a newer one
                user.found = await self._scan(user, account, user_places(account))
                self._set_fact(user)

    async def _scan_watched(self, user: _User) -> None:
        async with user.scanning:
            triggered, user.triggered = user.triggered, False
            account = self._facts.get(FactKey(PlatformFact.ACCOUNT, user.name))
            if not isinstance(account, Account):
                self._emit_event(user.name, None)
                return
            places = user_places(account)
            for _ in range(LOOKS):
                user.found = await self._scan(user, account, places)
                if not await self._is_new(user, account, places, user.found):
                    break
            if self._users.get(user.name) is user and (self._set_fact(user) or triggered):
                await self._refresh(user)
            if self._also.get(user.name):
                for subscriber in self._subscribers:
                    subscriber(user.name)

    async def _scan(self, user: _User, account: Account, places: tuple[Place, ...]) -> Found:
        self._limit = self._limit or CapacityLimiter(_AT_ONCE)
        work = partial(scan, places, of(user.names), account)
        with contextlib.suppress(TimeoutError):
            return await user.calls.call(work, timeout=TIMEOUT, limiter=self._limit)
        return Found(problem=f"no answer within {TIMEOUT:g} s, as from a dead file server")

    async def _is_new(self, user: _User, account: Account, places: tuple[Place, ...], found: Found) -> bool:
        """Watch the folders; return whether that has only just begun, so that they have to be scanned once more."""
        manager = self._managers.manager(user.name)
        if manager is None or found.problem:
            user.problem = ""
            return False
        folders = [place.folder for place in places if place.watched]
        folders += [*generated_folders(account.uid), *sorted(found.folders)]
        folders += sorted(self._also.get(user.name, ()))
        if len(folders) > _FOLDERS:
            user.problem = f"{len(folders)} folders to watch, more than {_FOLDERS}"
            return False
        name = path_unit.name_for(folders)
        state = unit(self._facts.get(FactKey(PlatformFact.UNIT, name, user.name)))
        if name == user.watch and state is not None and state.active is ActiveState.ACTIVE:
            user.problem = ""
            return False
        now = anyio.current_time()
        if user.watch and state is not None and name == user.watch:
            self._broken(user, now, state.result)
        if now < user.until:
            return False
        try:
            await self._begin(user, manager, name, folders)
        except DisconnectedError:
            return False  # the manager will be UP again, or DOWN
        except EventdError as error:
            self._broken(user, now, str(error))
            return False
        user.problem = ""
        return True

    async def _begin(self, user: _User, manager: SystemdManager, name: str, folders: list[str]) -> None:
        rows = await path_unit.loaded(manager)
        there = next((row for row in rows if row.name == name), None)
        if there is not None and there.active is not ActiveState.ACTIVE:
            await path_unit.stop(manager, name)
            there = None
        if there is None:
            try:
                await path_unit.start(manager, name, folders)
            except EventdError as error:
                if error.reason != "unit-exists":
                    raise
        key = FactKey(PlatformFact.UNIT, name, user.name)
        active = asyncio.Event()

        def changed(_key: FactKey) -> None:
            state = unit(self._facts.get(key))
            if state is not None and state.active is ActiveState.ACTIVE:
                active.set()

        stop = self._facts.watch((key,), changed)
        try:
            self._managers.watch_also(user.name, frozenset({name}))
            # A unit of this name may have existed before, and for a new unit systemd sends only its name.
            await self._managers.read(user.name, name)
            changed(key)
            async with asyncio.timeout(TIMEOUT):
                await active.wait()
        except TimeoutError as error:
            raise DeadlineError(f"{name} was not active after {TIMEOUT:g} s") from error
        finally:
            stop()
        user.watch, user.since = name, anyio.current_time()
        for row in rows:
            if row.name != name:
                await path_unit.stop(manager, row.name)

    def _broken(self, user: _User, now: float, why: str) -> None:
        """The watch ended by itself, or cannot begin: scan again after a growing pause."""
        if now < user.until:
            return
        user.failures = 0 if user.watch and now - user.since >= _STEADY else user.failures + 1
        user.watch = ""
        if user.failures <= 1 and why == "success":
            return  # it was stopped once
        limit = f"more than {path_unit.TRIGGERS} changes in {path_unit.INTERVAL:g} s"
        user.problem = {
            "trigger-limit-hit": limit,
            "success": "something keeps stopping the watch",
        }.get(why, why)
        pause = min(_FIRST_PAUSE * 2 ** max(0, user.failures - 1), _LONGEST_PAUSE)
        user.until = now + pause
        asyncio.get_running_loop().call_later(pause + 0.01, self._mark, user.name)
        _log.warning("the unit folders of %s are not watched for %g s: %s", user.name, pause, user.problem)

    async def _refresh(self, user: _User) -> None:
        try:
            await self._managers.refresh(user.name)
        except TemporaryError as error:
            _log.info("units of %s: %s", user.name, error)  # lost; everything is read when it is back

    def _set_fact(self, user: _User) -> bool:
        """Set the fact; return whether any file changed."""
        if user.found is None:
            return False
        files = {**user.found.files, **self._system.concerning(user.names)}
        folders = [place.folder for place in self._system.places]
        account = self._facts.get(FactKey(PlatformFact.ACCOUNT, user.name))
        if isinstance(account, Account):
            folders += [place.folder for place in user_places(account)]
        masks = (user.found.masks | self._system.found.masks) & files.keys()
        problem = user.found.problem or user.problem or self._system.found.problem
        before, user.told = user.told, files
        self._emit_event(user.name, Foreign(tuple(sorted(files)), frozenset(masks), tuple(folders), problem))
        return before != files

    def _emit_event(self, name: str, foreign: Foreign | None) -> None:
        key = FactKey(AuditFact.FOREIGN, name)
        before = self._facts.get(key)
        if before == foreign:
            return
        first = before is None and foreign is not None and not foreign.paths and not foreign.problem
        kind = KernelEvent.READ if first or foreign is None else AuditEvent.FOREIGN
        attributes = {"files": " ".join(foreign.paths[:20]), "problem": foreign.problem} if foreign else {}
        self._emit(
            PlatformOrigin.USER_MANAGER, kind, name, scope=name, attributes=attributes, facts=[(key, foreign)]
        )
