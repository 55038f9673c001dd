"""A unit's files, parsed: the part of systemd.unit(5) and systemd.service(5) that the model acts on.

Deliberately not eventd's own parser: a mistake there must not be repeated here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.platform.model_facts import LoadState

if TYPE_CHECKING:
    from collections.abc import Iterable

Entries = list[tuple[str, str, str]]
"""Section, key, value, in order."""

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "": 1.0}


def parse(text: str) -> Entries:
    """Parse unit-file syntax (systemd.syntax(7)); lines that make no sense are dropped, as systemd does."""
    entries: Entries = []
    section = ""
    pending = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith(("#", ";")) or (not line and not pending):
            continue
        line = f"{pending}{line}"
        pending = ""
        if line.endswith("\\"):
            pending = line[:-1] + " "
        elif line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line and section:
            key, value = line.split("=", 1)
            entries.append((section, key.strip(), value.strip()))
    return entries


def words(entries: Entries, section: str, *keys: str) -> tuple[str, ...]:
    """Return a list setting: an empty assignment resets it."""
    found: list[str] = []
    for key in keys:
        mine: list[str] = []
        for at, name, value in entries:
            if at == section and name == key:
                mine = [*mine, *value.split()] if value else []
        found += mine
    return tuple(dict.fromkeys(found))


def last(entries: Entries, section: str, key: str, default: str = "") -> str:
    """Return a scalar setting: the last assignment counts."""
    value = default
    for at, name, text in entries:
        if at == section and name == key:
            value = text or default
    return value


def seconds(text: str, default: float) -> float:
    """Return a time span (systemd.time(7)) in seconds; `infinity` is infinite."""
    if not text:
        return default
    if text == "infinity":
        return float("inf")
    parts = re.findall(r"([\d.]+)\s*([a-z]*)", text)
    return sum(float(number) * _UNITS.get(unit, 1.0) for number, unit in parts)


def truth(text: str, *, default: bool) -> bool:
    """Return a boolean (systemd.syntax(7))."""
    return default if not text else text.lower() in ("1", "yes", "true", "on", "y", "t")


@dataclass(frozen=True, slots=True)
class Definition:
    """One unit as loaded. Times are in seconds."""

    name: str
    load: LoadState = LoadState.LOADED
    fragment: str = ""
    source: str = ""
    drop_ins: tuple[str, ...] = ()
    file_state: str = ""
    prints: tuple[tuple[str, object], ...] = ()
    """Path and fingerprint of each file it was loaded from, for NeedDaemonReload."""
    type: str = "simple"
    remain: bool = False
    restart: str = "no"
    restart_delay: float = 0.1
    start_timeout: float = 90.0
    stop_timeout: float = 90.0
    """systemd's, for a process that ignores SIGTERM."""
    kill_timeout: float = 0.0
    """podman's: after this its `rm` kills the container; 0 for what is not a container."""
    success: tuple[str, ...] = ()
    image: str = ""
    notify_healthy: bool = False
    wants: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    binds_to: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    wanted_by: tuple[str, ...] = ()
    limit_burst: int = 5
    limit_interval: float = 10.0
    description: str = ""

    @property
    def pulls_in(self) -> tuple[str, ...]:
        """Units that must start with it."""
        return tuple(dict.fromkeys((*self.requires, *self.binds_to)))

    def is_success(self, status: int) -> bool:
        """Whether an exit status counts as clean (SuccessExitStatus=)."""
        return status == 0 or str(status) in self.success


_TIMES = ("OnCalendar", "OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec")


def define(name: str, entries: Entries, *, generated: Iterable[str] = (), **places: object) -> Definition:
    """Make a definition from a unit file's entries. `generated`: units that its generator lets it wait for."""
    service = "Service"
    kind = last(entries, service, "Type", "simple")
    oneshot = kind == "oneshot"
    if name.endswith(".timer") and not any(last(entries, "Timer", key) for key in _TIMES):
        places["load"] = LoadState.BAD_SETTING  # "Timer unit lacks value setting. Refusing."
    return Definition(
        name=name,
        type=kind,
        remain=truth(last(entries, service, "RemainAfterExit"), default=False),
        restart=last(entries, service, "Restart", "no"),
        restart_delay=seconds(last(entries, service, "RestartSec"), 0.1),
        # systemd.service(5): oneshot units have no start timeout unless they set one.
        start_timeout=seconds(last(entries, service, "TimeoutStartSec"), float("inf") if oneshot else 90.0)
        or float("inf"),
        stop_timeout=seconds(last(entries, service, "TimeoutStopSec"), 90.0) or float("inf"),
        success=words(entries, service, "SuccessExitStatus"),
        wants=(*words(entries, "Unit", "Wants"), *generated),
        requires=words(entries, "Unit", "Requires"),
        binds_to=words(entries, "Unit", "BindsTo"),
        after=(*words(entries, "Unit", "After"), *generated),
        wanted_by=words(entries, "Install", "WantedBy", "RequiredBy", "UpheldBy"),
        limit_burst=int(last(entries, "Unit", "StartLimitBurst", "5")),
        limit_interval=seconds(last(entries, "Unit", "StartLimitIntervalSec"), 10.0),
        description=last(entries, "Unit", "Description", name),
        **places,  # type: ignore[arg-type]
    )
