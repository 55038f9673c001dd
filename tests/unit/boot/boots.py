"""Boots for tests: records as the log would have made them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from eventd.boot.model import BootOrigin, BootRecord, FactTime, Phases, Span, SpanKind, WorkloadBoot
from eventd.platform.systemd.model_times import Startup, UnitTimes

UNITS = (
    UnitTimes("sysinit.target", 3.2, 3.2),
    UnitTimes("network.target", 3.3, 3.3, ("sysinit.target",)),
    UnitTimes("wait-online.service", 3.4, 20.1, ("network.target",)),
    UnitTimes("network-online.target", 20.1, 20.1, ("wait-online.service", "network.target")),
    UnitTimes("systemd-logind.service", 3.9, 4.1, ("sysinit.target",)),
    UnitTimes("eventd.service", 4.2, 4.9, ("systemd-logind.service",)),
    UnitTimes("user@1001.service", 4.15, 9.9, ("systemd-logind.service",)),
)
ONLINE = "unit:network-online.target"


def workload(name: str, *spans: Span, converged: float | None = None, **changes: Any) -> WorkloadBoot:
    """A workload, converged or still held."""
    state = "converged" if converged is not None else "held"
    return WorkloadBoot(name, state, spans, converged, f"manager:{name}", **changes)


def start(name: str, begin: float, end: float) -> tuple[Span, Span]:
    """A unit's start and the second of its verification."""
    return (
        Span(SpanKind.START, f"start-unit {name}.service", begin, end),
        Span(SpanKind.VERIFY, f"verify {name}.service", end, end + 1),
    )


def record(*workloads: WorkloadBoot, **changes: Any) -> BootRecord:
    """A boot: the kernel 1.3 s, the RAM disk 1.1 s, eventd from 4.2 s to 4.9 s."""
    made = BootRecord(
        boot_id="b",
        host="homelab",
        origin=BootOrigin.KERNEL,
        uptime=4.2,
        wall=1.8e9,
        phases=Phases(1.3, 2.4, 24.0),
        started=4.2,
        ready=4.9,
        until=31.2,
        unit="eventd.service",
        commit="1a2b",
        commit_at=4.6,
        units=UNITS,
        facts=(
            FactTime(ONLINE, 20.1, 20.1, unit="network-online.target"),
            FactTime("manager:db", 9.9, 4.15, unit="user@1001.service", workload="db"),
            FactTime("https://registry.example/v2/", 15.0),
            FactTime("workload:db=healthy", 13.1, workload="db"),
        ),
        workloads=workloads,
        complete=True,
    )
    return replace(made, **changes)


class Times:
    """A systemd that tells times; `kernel` as on metal."""

    def __init__(self, startup: Startup | None = None, **units: UnitTimes) -> None:
        self.startup_times = startup
        self.units = {unit.name: unit for unit in units.values()}

    async def startup(self) -> Startup:
        """Return the times of the boot."""
        assert self.startup_times is not None
        return self.startup_times

    async def unit_times(self, name: str) -> UnitTimes:
        """Return a unit's times."""
        return self.units.get(name, UnitTimes(name))


class Memory:
    """Keeps a record as the file does."""

    def __init__(self, kept: BootRecord | None = None) -> None:
        self.boot_id = "b"
        self.kept = kept
        self.saved: list[BootRecord] = []

    async def load(self) -> BootRecord | None:
        """Return what was kept."""
        return self.kept

    async def save(self, record: BootRecord) -> None:
        """Keep it."""
        self.saved.append(record)
