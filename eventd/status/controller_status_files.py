"""A file per workload with its status, for readers that cannot use the daemon: it is down, or they lack access.

Owns the content of the files, and when they are written: when a status differs from the one written last, not at each
pass. Each file says when it was written and by which daemon process, so that nobody takes it for live. It has no
journal lines, since everyone may read it.

    Statuses, units, containers -> StatusFiles -> eventd.status.adapter_status_folder
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from eventd import __version__
from eventd.api.model_answers import encoded
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import WorkloadStatus
from eventd.kernel.progress import Progress
from eventd.platform.model_facts import Account, PlatformFact
from eventd.queries import Queries
from eventd.status import documents, documents_workload
from eventd.status.ports import StatusStorage

KEYS = (
    "name", "state", "reason", "message", "hint", "since", "step", "commit", "wanted_commit", "verified_at", "uid",
    "units", "containers", "crashes", "failing_unit", "waits_for", "suspended", "rollback",
)  # fmt: skip
"""The keys of a workload's status that are written."""
SPACING = 0.2
"""Seconds between two rounds of writing, to collect changes."""
log = logging.getLogger(__name__)
_Mark = tuple[WorkloadStatus, str, str]


@dataclass(slots=True)
class StatusFiles:
    """See the module. `run` has to be running for anything to be written."""

    queries: Queries
    identity: documents.Identity
    folder: StatusStorage
    wall: Callable[[], float] = time.time
    _marks: dict[str, _Mark] = field(default_factory=dict)
    _dirty: set[str] = field(default_factory=set)
    _written: dict[str, dict[str, Any]] = field(default_factory=dict)
    _wake: anyio.Event = field(default_factory=anyio.Event)

    def observed(self) -> None:
        """The host was observed again: collect the workloads whose status differs."""
        rows = self.queries.statuses
        for name, row in rows.items():
            mark = (row, row.state.value, row.reason)
            before = self._marks.get(name)
            if before is None or before[0] is not row or before[1:] != mark[1:]:
                self._marks[name] = mark
                self._dirty.add(name)
        for name in [name for name in self._marks if name not in rows]:
            del self._marks[name]
            self._dirty.add(name)
        if self._dirty:
            self._wake.set()

    def stepped(self, progress: Progress) -> None:
        """A step of a workload has begun or ended."""
        self._dirty.add(progress.workload)
        self._wake.set()

    def containers_changed(self, uid: int) -> None:
        """The containers of an account have changed, according to podman's events."""
        facts = self.queries.facts
        for name in self._marks:
            account = facts.get(FactKey(PlatformFact.ACCOUNT, name))
            if isinstance(account, Account) and account.uid == uid:
                self._dirty.add(name)
                self._wake.set()

    async def run(self) -> None:
        """Write what changed, until cancelled; the first round after a load removes files of an earlier process."""
        kept = False
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            try:
                await self._write()
                if not kept and self.queries.desired is not None:
                    await self.folder.keep(self.queries.workload_names())
                    kept = True
            except EventdError as error:
                log.warning("%s", error, extra={"reason": error.reason})
            await anyio.sleep(SPACING)

    async def _write(self) -> None:
        dirty, self._dirty = self._dirty, set()
        known = self.queries.workload_names()
        changed: dict[str, dict[str, Any] | None] = {}
        for name in sorted(dirty):
            if name not in known:
                if self._written.pop(name, None) is not None:
                    changed[name] = None
                continue
            row: Mapping[str, object] = documents_workload.workload(self.queries, name)
            document = {key: row[key] for key in KEYS}
            if self._written.get(name) != document:
                self._written[name] = document
                changed[name] = json.loads(encoded({**self._frame(), **document}))
        if not changed:
            return
        try:
            await self.folder.write(changed)
        except EventdError:
            for name in changed:
                self._written.pop(name, None)
            raise

    def _frame(self) -> dict[str, Any]:
        """Return the keys about the writing: when, and by which process."""
        return {
            "written_at": self.wall(),
            "daemon": {**self.identity.document(), "version": __version__},
            "host": self.identity.host,
        }
