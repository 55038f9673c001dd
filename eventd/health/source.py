"""The source of CONTAINER facts: the health of containers, from podman's events in the journal.

Owns which containers are followed, and what podman's events mean. By default, rootless podman logs each event to the
journal: `PODMAN_EVENT=health_status` with `PODMAN_HEALTH_STATUS` after every check, and `died` and `remove` at the end.
One journalctl follows them for all users, only while a health is wanted. Emits `READ` when a container becomes wanted,
and `HEALTH` when its health changes. Decides nothing.

Forgery: any process may write these fields, but journald adds the `_UID` of the writer, and a container's fact uses
only entries of its own user. So a workload can lie about itself only.

If `events_logger` of containers.conf(5) is not `journald`, there is no fact. `Notify=healthy` still works, since that
is the state of the unit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.health import source_podman_table as podman_table
from eventd.health.model_events import HealthEvent, HealthOrigin
from eventd.health.source_podman_table import PodmanTable
from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.kernel.model.events import Emit, EventKind, KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.source_state import SourceState
from eventd.platform.journal_follow import Entry, JournalFollow
from eventd.platform.processes.line_process import LineProcess
from eventd.platform.reconnect import retry_delays

FIELDS = ("PODMAN_EVENT", "PODMAN_NAME", "PODMAN_ID", "PODMAN_HEALTH_STATUS", *podman_table.FIELDS)
STATES = frozenset({"healthy", "unhealthy", "starting"})
_BEGINS = frozenset({"init", "start"})
_ENDS = frozenset({"died", "remove"})
_EVENTS = tuple(f"PODMAN_EVENT={event}" for event in sorted({"health_status", *_BEGINS, *_ENDS}))
_ALL_EVENTS = tuple(f"PODMAN_EVENT={event}" for event in sorted({*_BEGINS, *_ENDS, *podman_table.EVENTS}))
_BACK_OF_ACCOUNT = 300
"""How many of an account's last events are read when it becomes wanted: those of containers and images."""
_BACK = 20
"""How many of a container's last events are read when it becomes wanted. More than one, since a check that was running
when the container died may log its result after that."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Known:
    """The known state of one container."""

    health: str | None = None
    dead: str = ""
    """The id of the container of this name that ended last."""
    monotonic: int = -1
    cursor: str = ""
    """The time of the newest event that was applied."""

    def take(self, entry: Entry) -> None:
        """Apply one event, if it is newer than the newest so far."""
        if entry.monotonic < self.monotonic or entry.cursor == self.cursor:
            return
        self.monotonic, self.cursor = entry.monotonic, entry.cursor
        event, container = entry.fields.get("PODMAN_EVENT"), entry.fields.get("PODMAN_ID", "")
        if event in _BEGINS:
            self.health, self.dead = None, ""
        elif event in _ENDS:
            self.health, self.dead = None, container
        elif event == "health_status" and container != self.dead:
            said = entry.fields.get("PODMAN_HEALTH_STATUS")
            self.health = said if said in STATES else None


class ContainerHealthSource:
    """Follows the health of the wanted containers."""

    def __init__(self, emit: Emit, journal: JournalFollow, table: PodmanTable | None = None) -> None:
        self._emit = emit
        self.state = SourceState(emit, HealthOrigin.PODMAN, "container-health")
        self._journal = journal
        self._table = table
        self._accounts: frozenset[int] = frozenset()
        self._held_back: list[Entry] | None = None
        """Entries that came in while accounts were being read."""
        self._wanted: dict[FactKey, int] = {}
        self._known: dict[FactKey, Known] = {}
        self._told: dict[FactKey, str | None] = {}
        # By uid and podman's name: the followed containers, and entries that came in while one was being read.
        self._by_name: dict[tuple[int, str], FactKey] = {}
        self._pending: dict[FactKey, list[Entry]] = {}
        self._follower: LineProcess | None = None
        self._uids: frozenset[int] = frozenset()
        self._cursor = self._boot = self._lost = ""
        self._changed = anyio.Event()
        self._subscribers: list[Callable[[int], None]] = []

    def subscribe(self, subscriber: Callable[[int], None]) -> None:
        """Call `subscriber` with the uid of each account whose rows in the table have changed."""
        self._subscribers.append(subscriber)

    def want(self, containers: Mapping[FactKey, int], accounts: frozenset[int] = frozenset()) -> None:
        """Set the wanted containers: the key of each one's fact (scope: its user), and the uid of the user.

        `accounts`: uids of which the table has all containers and images.

        Takes effect in the next iteration of the loop. Facts that are no longer wanted are forgotten.
        """
        accounts = accounts if self._table is not None else frozenset()
        if (dict(containers), accounts) != (self._wanted, self._accounts):
            self._wanted, self._accounts = dict(containers), accounts
            self._changed.set()

    def invalidate(self) -> None:
        """Read all of them from the journal again, as if they were new."""
        self._known.clear()
        if self._table is not None:
            self._table.clear()
        self._changed.set()

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Keep the wanted facts current until cancelled. Reports `started` once they have been read."""
        wait, started = retry_delays(), False
        try:
            while True:
                self._changed = anyio.Event()
                try:
                    if self._lost:
                        raise TemporaryError(self._lost, reason="journal-lost")
                    await self._apply(dict(self._wanted))
                    wait = retry_delays()
                    self.state.mended()
                    if not started:
                        started = True
                        task_status.started()
                except EventdError as error:
                    _log.warning(
                        "cannot follow the health of containers: %s", error, extra={"reason": error.reason}
                    )
                    self.state.failed(error)
                    # Everything is read again; until then the facts keep their last values.
                    await self._stop()
                    self._known.clear()
                    if self._table is not None:
                        self._table.clear()
                    await anyio.sleep(next(wait))
                    continue
                await self._changed.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await self._stop()

    async def _apply(self, wanted: dict[FactKey, int]) -> None:
        names = {(uid, key.name): key for key, uid in wanted.items()}
        for name, key in self._by_name.items():
            if names.get(name) != key:
                self._known.pop(key, None)
        self._by_name = names
        gone = [key for key in self._told if key not in wanted]
        for key in gone:
            del self._told[key]
        if gone:
            facts = [(key, None) for key in gone]
            self._emit(HealthOrigin.PODMAN, KernelEvent.READ, "health", facts=facts)
        accounts = self._accounts
        if not wanted and not accounts:
            await self._stop()
            self._cursor = ""
            if self._table is not None:
                self._table.keep(accounts)
            return
        # Subscribe, then read: entries for these are held back until they have been read.
        self._pending = {key: [] for key in wanted if key not in self._known}
        uids = frozenset(wanted.values()) | accounts
        if self._follower is None or uids != self._uids:
            await self._follow(uids)
        if self._table is not None:
            await self._read_accounts(self._table, accounts)
        for key in tuple(self._pending):
            await self._read_back(key, wanted[key])

    async def _read_accounts(self, table: PodmanTable, accounts: frozenset[int]) -> None:
        """Read the last events of each account that is new in the table. If that fails, its table stays empty."""
        self._held_back = []
        seen: set[str] = set()
        fresh = table.keep(accounts)
        try:
            for uid in sorted(fresh):
                matches = [*_ALL_EVENTS, f"_UID={uid}", *self._of_this_boot()]
                try:
                    entries = await self._journal.last(matches, lines=_BACK_OF_ACCOUNT, fields=FIELDS)
                except EventdError as error:
                    # A user may log entries of any size, at their own expense.
                    _log.warning(
                        "cannot read the containers of uid %d: %s", uid, error, extra={"reason": error.reason}
                    )
                    continue
                seen.update(entry.cursor for entry in entries)
                for entry in entries:
                    table.take(entry)
        finally:
            held, self._held_back = self._held_back, None
            for entry in held:
                if entry.cursor not in seen:
                    table.take(entry)
            for uid in {entry.uid for entry in held} | fresh:
                self._changed_rows(uid)

    async def _follow(self, uids: frozenset[int]) -> None:
        await self._stop()
        if not self._cursor:
            newest = await self._journal.newest()
            if newest is not None:
                self._cursor, self._boot = newest.cursor, newest.boot
        # Continue after the last entry of the previous follower, so that nothing is lost in between.
        events = _EVENTS if self._table is None else _ALL_EVENTS
        self._follower = self._journal.follow(
            [*events, *(f"_UID={uid}" for uid in sorted(uids)), *self._of_this_boot()],
            fields=FIELDS,
            after=self._cursor,
            entry=self._on_entry,
            ended=self._on_end,
        )
        self._uids = uids

    async def _read_back(self, key: FactKey, uid: int) -> None:
        matches = [*_EVENTS, f"_UID={uid}", f"PODMAN_NAME={key.name}", *self._of_this_boot()]
        entries = await self._journal.last(matches, lines=_BACK, fields=FIELDS)
        known = Known()
        for entry in (*entries, *self._pending.pop(key)):
            known.take(entry)
        self._known[key] = known
        self._emit_health(key, KernelEvent.READ)

    def _of_this_boot(self) -> list[str]:
        """Return the journal match for this boot of this machine.

        Earlier boots must not count: after a power cut all containers are gone, without a `died` event.
        """
        return [f"_BOOT_ID={self._boot}"] if self._boot else []

    def _on_entry(self, entry: Entry) -> None:
        self._cursor = entry.cursor
        if self._held_back is not None:
            self._held_back.append(entry)
        elif self._table is not None and self._table.take(entry):
            self._changed_rows(entry.uid)
        if entry.fields.get("PODMAN_TYPE", "container") != "container":
            return
        key = self._by_name.get((entry.uid, entry.fields.get("PODMAN_NAME", "")))
        if key in self._pending:
            self._pending[key].append(entry)
        elif key in self._known:
            self._known[key].take(entry)
            self._emit_health(key, HealthEvent.HEALTH)

    def _changed_rows(self, uid: int) -> None:
        for subscriber in self._subscribers:
            subscriber(uid)

    def _emit_health(self, key: FactKey, kind: EventKind) -> None:
        health = self._known[key].health
        if kind is HealthEvent.HEALTH and health == self._told.get(key):
            return
        self._told[key] = health
        self._emit(
            HealthOrigin.PODMAN,
            kind,
            key.name,
            scope=key.scope,
            attributes={"health": health or "unknown"},
            facts=[(key, health)],
        )

    def _on_end(self, sentence: str) -> None:
        self._follower = None
        self._lost = sentence
        self._changed.set()

    async def _stop(self) -> None:
        follower, self._follower = self._follower, None
        self._lost = ""
        if follower is not None:
            await follower.stop()
