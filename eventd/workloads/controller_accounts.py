"""The accounts of known workloads: reads them and connects to their managers before anything is planned."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import anyio

from eventd.desired.controller_activation import Participant
from eventd.desired.controller_load import Loaded
from eventd.kernel.dispatch import Dispatcher
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.events import KernelEvent, KernelOrigin
from eventd.kernel.model.facts import FactKey
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.model_facts import unit as as_unit
from eventd.platform.systemd.model_user_manager import manager_unit
from eventd.port_set import Host
from eventd.state.controller_inventory import Inventory
from eventd.state.controller_recovery import Recovery
from eventd.workloads.model_layout import Layout

log = logging.getLogger(__name__)
CONNECT_TIMEOUT = 30.0
"""Seconds for the bus of a manager that is up."""
Track = Callable[[Iterable[str]], Awaitable[None]]


@dataclass(slots=True)
class KnownAccounts(Participant):
    """See the module."""

    host: Host
    inventory: Inventory
    dispatcher: Dispatcher
    layout: Layout
    recovery: Recovery
    track: Track | None
    """Keeps the ACCOUNT facts of the given accounts current; None: they are read here, once."""

    async def prepare(self, loaded: Loaded) -> None:
        """Read the accounts of the workloads of a revision."""
        await self.read(loaded.desired.workloads)

    async def read(self, wanted: Iterable[str]) -> None:
        """Read the ACCOUNT facts of every desired and recorded workload, and the FILE facts of those eventd manages."""
        facts, recorded = self.dispatcher.facts, self.inventory.records.workloads
        names = {*wanted, *recorded}
        if self.track is not None:
            await self.track(names)
        for name in sorted(names):
            key = FactKey(PlatformFact.ACCOUNT, name)
            account = facts.get(key)
            if account is None and self.track is None:
                account = await self.host.accounts.lookup(name)
                self.dispatcher.emit(
                    KernelOrigin.DAEMON, KernelEvent.READ, name, scope=name, facts=[(key, account)]
                )
            if name in recorded and isinstance(account, Account):
                for folder in self.layout.folders(account.uid):
                    await self.host.file_watch.watch(folder)

    async def reconnect(self) -> None:
        """Connect to the running managers of known workloads; the first plan starts the others."""
        async with anyio.create_task_group() as group:
            for record in self.inventory.records.workloads.values():
                if not record.retained:
                    group.start_soon(self._reconnect, record.name)

    async def _reconnect(self, name: str) -> None:
        facts = self.dispatcher.facts
        account = facts.get(FactKey(PlatformFact.ACCOUNT, name))
        if not isinstance(account, Account):
            return
        unit = as_unit(facts.get(FactKey(PlatformFact.UNIT, manager_unit(account.uid))))
        units = frozenset(self.inventory.records.units.get(name, {}))
        self.host.user_managers.watch(name, units | self.recovery.units_of(name))
        if unit is None or not unit.up:
            return
        try:
            await self.host.user_managers.connect(account, timeout=CONNECT_TIMEOUT)
        except EventdError as error:
            log.warning("the manager of %s cannot be reached yet: %s", name, error)
