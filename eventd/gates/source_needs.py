"""Tells each source which facts the gates need, and the prober which probes.

Owns no facts. A container's health is followed by the uid of its user, which a new workload gets only later, so the
accounts are watched. Probes are repeated at once when the host's network comes up, and do not wait for their pause.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from eventd.files.source_watched import WatchedFiles
from eventd.gates.model_predicates import Probe
from eventd.gates.source_probes import ProbesSource
from eventd.health.model_facts import HealthFact
from eventd.health.source import ContainerHealthSource
from eventd.kernel.model.facts import FactKey, Facts
from eventd.platform.model_facts import Account, PlatformFact
from eventd.platform.systemd.source import SystemSource
from eventd.platform.systemd.source_logind import LOGIND_UNIT
from eventd.updates.model_facts import UpdateFact
from eventd.updates.source_image_store import ImageStoreSource

_OF_PODMAN = (HealthFact.CONTAINER, UpdateFact.IMAGE)
NETWORK = FactKey(PlatformFact.UNIT, "network-online.target")


@dataclass(slots=True)
class Needs:
    """Passes on what the gates of the active revision mention."""

    facts: Facts
    system: SystemSource
    files: WatchedFiles
    health: ContainerHealthSource
    probes: ProbesSource
    images: ImageStoreSource
    _keys: frozenset[FactKey] = frozenset()
    _stop: Callable[[], None] = field(default=lambda: None)

    async def need(self, keys: frozenset[FactKey]) -> None:
        """Have exactly these facts kept current, besides those that always are. Raises what `WatchedFiles.want` raises.

        Turns call this concurrently: the awaits come last, so that no update is interleaved.
        """
        self._stop()
        self._keys = keys
        users = {FactKey(PlatformFact.ACCOUNT, k.scope) for k in keys if k.kind in _OF_PODMAN}
        ends = (
            self.facts.watch(users, self._accounts_changed),
            self.facts.watch((NETWORK,), lambda _key: self.probes.poke()),
        )

        def stop() -> None:
            for end in ends:
                end()

        self._stop = stop
        units = {k.name for k in keys if k.kind is PlatformFact.UNIT and not k.scope}
        self.system.watch(frozenset({*units, LOGIND_UNIT.name}))
        self.images.want(k for k in keys if k.kind is UpdateFact.IMAGE)
        self._accounts_changed()
        await self.files.want(k.name for k in keys if k.kind is PlatformFact.FILE)

    def probe(self, wanted: frozenset[Probe]) -> None:
        """Have exactly these probes run."""
        self.probes.want({each.text: each for each in wanted})

    def _accounts_changed(self, _key: FactKey | None = None) -> None:
        containers: dict[FactKey, int] = {}
        accounts: set[int] = set()
        for key in self._keys:
            account = self.facts.get(FactKey(PlatformFact.ACCOUNT, key.scope))
            if key.kind not in _OF_PODMAN or not isinstance(account, Account):
                continue
            accounts.add(account.uid)
            if key.kind is HealthFact.CONTAINER:
                containers[key] = account.uid
        self.health.want(containers, frozenset(accounts))
