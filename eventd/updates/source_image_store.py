"""The IMAGE facts: whether the images that workloads name are in their accounts' stores, for the next start.

Owns which references are watched. A new image is known from podman's event; for one that may be gone podman is asked,
as the account, since another store may have it as well. Until an event names an image nothing is known and nothing is
asked: a running container has its image. Decides nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

import anyio
from anyio import TASK_STATUS_IGNORED
from anyio.abc import TaskStatus

from eventd.health.model_events import HealthOrigin
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import Emit, KernelEvent
from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.wake_loop import run_on_wake
from eventd.updates.model_events import UpdateEvent
from eventd.updates.model_facts import UpdateFact
from eventd.updates.model_images import names
from eventd.updates.ports import Images

SPACING = 5.0
"""Seconds between two rounds of queries: an account may tag and untag as often as it likes."""
_log = logging.getLogger(__name__)


class ImageStoreSource:
    """See the module. `run` has to be running for facts to become false."""

    def __init__(self, emit: Emit, facts: Facts, images: Images) -> None:
        self._emit = emit
        self._facts = facts
        self._images = images
        self._wanted: dict[str, set[str]] = {}
        """Workload -> references."""
        self._by_uid: dict[int, list[str]] = {}
        self._suspects: dict[FactKey, None] = {}
        self._wake = asyncio.Event()

    def want(self, keys: Iterable[FactKey]) -> None:
        """Set which IMAGE facts are kept; all others are dropped."""
        wanted: dict[str, set[str]] = {}
        for key in keys:
            wanted.setdefault(key.scope, set()).add(key.name)
        gone = [
            key
            for name, references in self._wanted.items()
            for reference in references - wanted.get(name, set())
            if (key := FactKey(UpdateFact.IMAGE, reference, name)) in self._facts
        ]
        self._wanted = wanted
        self._by_uid = {}
        if gone:
            self._emit(HealthOrigin.PODMAN, KernelEvent.READ, "images", facts=[(key, None) for key in gone])

    def happened(self, uid: int, image: str, came: bool) -> None:  # noqa: FBT001 - what it was
        """Handle an event: an image came into an account's store, or lost one of its names."""
        for workload in self._workloads_of(uid):
            for reference in sorted(self._wanted.get(workload, ())):
                if not names(reference, image):
                    continue
                key = FactKey(UpdateFact.IMAGE, reference, workload)
                if came:
                    self._suspects.pop(key, None)
                    self._set_fact(key, there=True)
                else:
                    self._suspects[key] = None
                    self._wake.set()

    def invalidate(self) -> None:
        """Check the missing images again; present ones are assumed to be still there."""
        for workload, references in self._wanted.items():
            for reference in sorted(references):
                key = FactKey(UpdateFact.IMAGE, reference, workload)
                if self._facts.get(key) is False:
                    self._suspects[key] = None
                    self._wake.set()

    def _workloads_of(self, uid: int) -> list[str]:
        """Return the workloads of an account. Looked up once, since an account may log as many events as it likes."""
        if uid not in self._by_uid:
            self._by_uid = {}
            for name in self._wanted:
                account = self._facts.get(FactKey(PlatformFact.ACCOUNT, name))
                if isinstance(account, Account):
                    self._by_uid.setdefault(account.uid, []).append(name)
        return self._by_uid.get(uid, [])

    async def run(self, *, task_status: TaskStatus[None] = TASK_STATUS_IGNORED) -> None:
        """Check images that may be gone, until cancelled; `started` after the first round, if there was one to do."""
        await run_on_wake(self._wake, self._ask_all, task_status)

    async def _ask_all(self) -> None:
        if not self._suspects:
            return
        suspects, self._suspects = self._suspects, {}
        try:
            while suspects:
                key = next(iter(suspects))
                await self._ask(key)
                del suspects[key]
        finally:
            self._suspects = suspects | self._suspects
        await anyio.sleep(SPACING)

    async def _ask(self, key: FactKey) -> None:
        account = self._facts.get(FactKey(PlatformFact.ACCOUNT, key.scope))
        if not isinstance(account, Account) or key.name not in self._wanted.get(key.scope, ()):
            return
        try:
            found = await self._images.inspect(account, (key.name,))
        except EventdError as error:
            # Nothing was learned: the fact stays, and the next event of the store makes us ask again.
            _log.warning("image %s of %s: %s", key.name, key.scope, error, extra={"reason": error.reason})
            return
        self._set_fact(key, there=key.name in found)

    def _set_fact(self, key: FactKey, *, there: bool) -> None:
        if self._facts.get(key) is there or (there and key not in self._facts):
            return  # present is the default
        self._emit(
            HealthOrigin.PODMAN,
            UpdateEvent.IMAGE_CHANGED,
            key.name,
            scope=key.scope,
            attributes={"there": there},
            facts=[(key, there)],
        )
