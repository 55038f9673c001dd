"""The spec of a unit: its ordering and its start, from its file or from a running systemd.

Pure. Owns the rules of systemd.unit(5), systemd.service(5), systemd.special(7) and podman-systemd.unit(5) about the
order of starts: with which `Type=` the start job waits for the main process, what `DefaultDependencies=` implies, what
a socket or a timer is ordered before. Next: `eventd.waits.model_build`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from eventd.platform.systemd.model_live_unit import ORDERINGS, PULLS, LiveUnit
from eventd.unitfiles.model import UnitFile
from eventd.unitfiles.model_quadlet import split
from eventd.waits.model_declared import Stage, Wait

INSTALLS: Mapping[str, str] = {"WantedBy": "Wants", "RequiredBy": "Requires", "UpheldBy": "Upholds"}
"""[Install] key -> the dependency that it adds to the unit that it names."""
STARTING = ("Wants", "Requires", "BindsTo", "Upholds")
_TARGET_PULLS = frozenset({*STARTING, "Requisite"})
_BLOCKING = frozenset({"oneshot", "notify", "notify-reload", "forking", "dbus"})
_TRIGGERS: Mapping[str, tuple[str, str]] = {
    "socket": ("Socket", "Service"),
    "timer": ("Timer", "Unit"),
    "path": ("Path", "Unit"),
    "automount": ("Automount", ""),
}


class Relation(NamedTuple):
    """`kind=other`, and where it is written."""

    kind: str
    other: str
    file: str = ""
    line: int = 0
    setting: str = ""
    """As written; empty if systemd implies it."""


STAGES: Mapping[str, Stage] = {
    "ExecCondition": Stage.PRE,
    "ExecStartPre": Stage.PRE,
    "ExecStart": Stage.MAIN,
    "ExecStartPost": Stage.POST,
}
"""The commands of a start (systemd.service(5))."""


class Exec(NamedTuple):
    """A command of a start."""

    stage: Stage
    text: str
    file: str
    line: int


@dataclass(frozen=True, slots=True)
class UnitSpec:
    """One unit."""

    name: str
    relations: tuple[Relation, ...]
    scope: str = ""
    """The workload whose manager runs it; empty for the system manager."""
    file: str = ""
    blocking: bool = False
    """Whether the start job waits until the main process is ready (for oneshot: has ended)."""
    timeout: str = ""
    """`TimeoutStartSec=`, or its default."""
    default_dependencies: bool = True
    listens: tuple[str, ...] = ()
    """`ListenStream=` of a socket."""
    publishes: tuple[str, ...] = ()
    """`PublishPort=` of a container or a pod."""
    answers_for: tuple[str, ...] = ()
    """Host names that a reverse proxy routes to it, by its labels."""
    triggers: str = ""
    """The unit that a socket starts."""
    before_main: str = ""
    """The text of `ExecStartPre=` and `ExecCondition=`."""
    after_main: str = ""
    """The text of `ExecStartPost=`."""
    commands: tuple[Exec, ...] = ()
    """The commands of its start, in order."""
    text: str = ""
    """All values, to find units that mention a host name."""

    @property
    def extension(self) -> str:
        """The type: `service`, `target`."""
        return split(self.name)[1]

    def others(self, *kinds: str) -> Iterator[Relation]:
        """Yield the relations of these kinds."""
        return (relation for relation in self.relations if relation.kind in kinds)


class Listener(NamedTuple):
    """An open port, and the unit in whose cgroup the socket was created."""

    host: str
    """The address that it is bound to; `0.0.0.0` or `::` for all."""
    port: int
    unit: str
    scope: str = ""


@dataclass(frozen=True, slots=True)
class LiveGraph:
    """The units of the system manager, and open ports. Empty if nothing is known."""

    units: tuple[LiveUnit, ...] = ()
    listeners: tuple[Listener, ...] = ()
    hostnames: frozenset[str] = frozenset()
    """Names of this host besides localhost, in lower case."""
    waits: tuple[Wait, ...] = ()
    """What scripts of system units wait for, by the `waits.toml` of the host's configuration."""


def spec_of_live(unit: LiveUnit) -> UnitSpec:
    """Return the spec of a live unit. Its relations include implicit dependencies."""
    relations = [
        Relation(kind, other, unit.fragment, 0, "")
        for kind in (*ORDERINGS, *PULLS)
        for other in unit.relations.get(kind, ())
    ]
    return UnitSpec(
        unit.name,
        tuple(relations),
        file=unit.fragment,
        blocking=unit.service_type in _BLOCKING,
        default_dependencies=False,
        listens=unit.listens,
    )


def spec_of_file(name: str, unit: UnitFile, *, scope: str = "", enabled: Iterable[Relation] = ()) -> UnitSpec:
    """Return the spec of a unit file with its drop-ins merged in. `enabled`: relations from `.wants/` folders."""
    extension = split(name)[1]
    relations = [*relations_of(name, unit), *enabled]
    defaults = unit.truth("Unit", "DefaultDependencies") is not False
    triggered = _triggered(name, unit)
    if triggered:
        relations.append(Relation("Before", triggered, unit.file))
    for word, line in unit.words("Service", "Sockets"):
        setting = f"Sockets={word}"
        relations += [
            Relation("After", word, line.file, line.number, setting),
            Relation("Wants", word, line.file, line.number, setting),
        ]
    if defaults:
        relations += _implied(name, unit, system=not scope)
    kind = _service_type(unit) if extension == "service" else ""
    return UnitSpec(
        name,
        tuple(relations),
        scope,
        unit.file,
        blocking=kind in _BLOCKING,
        timeout=start_timeout(unit, kind) if kind else "",
        default_dependencies=defaults,
        listens=tuple(line.value for line in unit.values("Socket", "ListenStream")),
        triggers=triggered if extension == "socket" else "",
        before_main=commands(unit, "ExecStartPre", "ExecCondition"),
        after_main=commands(unit, "ExecStartPost"),
        commands=execs(unit),
        text=text_of(unit),
    )


def target_orders(specs: Mapping[str, UnitSpec]) -> Iterator[tuple[str, Relation]]:
    """Yield the implicit order of systemd.target(5): a target comes after the units that it pulls in.

    Not if one of the two has `DefaultDependencies=no`, nor if the unit is already ordered after the target, even
    implicitly (`unit_add_default_target_dependency()` in systemd's source).
    """
    after = {(name, other.other) for name, spec in specs.items() for other in spec.others("After")}
    after |= {(other.other, name) for name, spec in specs.items() for other in spec.others("Before")}
    for name, spec in specs.items():
        for relation in spec.relations:
            target, pulled = name, relation.other
            if relation.kind in INSTALLS:
                target, pulled = relation.other, name
            elif relation.kind not in _TARGET_PULLS:
                continue
            one, other = specs.get(target), specs.get(pulled)
            if one is None or other is None or one.extension != "target" or target == pulled:
                continue
            if not (one.default_dependencies and other.default_dependencies):
                continue
            if (pulled, target) not in after:
                yield target, relation._replace(kind="After", other=pulled)


def relations_of(name: str, unit: UnitFile) -> Iterator[Relation]:
    """Yield the written relations, with specifiers replaced."""
    for key in (*ORDERINGS, *PULLS):
        for line in unit.entries("Unit", key):  # an empty assignment resets no dependency (systemd.unit(5))
            for word in line.value.split():
                yield Relation(key, specify(word, name), line.file, line.number, f"{key}={word}")
    for key in INSTALLS:
        for word, line in unit.words("Install", key):
            yield Relation(key, specify(word, name), line.file, line.number, f"{key}={word}")
    for key in ("RequiresMountsFor", "WantsMountsFor"):
        for path, line in unit.words("Unit", key):
            for mount in _mounts(specify(path, name)):
                yield Relation("After", mount, line.file, line.number, f"{key}={path}")


def specify(word: str, name: str) -> str:
    """Replace the specifiers of systemd.unit(5) for parts of the unit's own name."""
    if "%" not in word:
        return word
    stem = split(name)[0]
    prefix, _, instance = stem.partition("@")
    values = {"%n": name, "%N": stem, "%p": prefix, "%P": prefix, "%i": instance, "%I": instance}
    values["%j"] = prefix.rpartition("-")[2]
    for specifier, value in values.items():
        word = word.replace(specifier, value)
    return word.replace("%%", "%")


def mount_unit(path: str) -> str:
    """Return the mount unit of a path, escaped as systemd-escape(1) does with --path."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        return "-.mount"
    text = "/".join(parts)
    escaped = "".join(
        "-"
        if char == "/"
        else char
        if (char.isascii() and char.isalnum()) or char in ":_" or (char == "." and number)
        else "".join(f"\\x{byte:02x}" for byte in char.encode())
        for number, char in enumerate(text)
    )
    return f"{escaped}.mount"


def _mounts(path: str) -> Iterator[str]:
    parts = [part for part in path.split("/") if part]
    for count in range(len(parts) + 1):
        yield mount_unit("/".join(parts[:count]))


def _triggered(name: str, unit: UnitFile) -> str:
    stem, extension = split(name)
    if extension not in _TRIGGERS:
        return ""
    section, key = _TRIGGERS[extension]
    if extension == "automount":
        return f"{stem}.mount"
    service = f"{stem}@.service" if unit.truth("Socket", "Accept") else f"{stem}.service"
    return specify(unit.value(section, key), name) or service


def _implied(name: str, unit: UnitFile, *, system: bool) -> Iterator[Relation]:
    """Yield what `DefaultDependencies=yes` implies for the unit's type, by its man page.

    Except `Before=shutdown.target`, which delays no start.
    """
    base = ("sysinit.target",) if system else ()
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    match split(name)[1]:
        case "service":
            after = (*base, "basic.target")
        case "socket":
            after, before = base, ("sockets.target",)
        case "timer":
            after, before = base, ("timers.target",)
            if system and unit.has("Timer", "OnCalendar"):
                after = (*after, "time-set.target", "time-sync.target")
        case "path":
            after, before = base, ("paths.target",)
        case "mount" | "automount" if system:
            options = unit.value("Mount", "Options").split(",")
            remote = "_netdev" in options
            after = ("remote-fs-pre.target" if remote else "local-fs-pre.target",)
            before = () if "nofail" in options else ("remote-fs.target" if remote else "local-fs.target",)
        case _:
            pass
    yield from (Relation("After", other, unit.file) for other in after)
    yield from (Relation("Before", other, unit.file) for other in before)


def _service_type(unit: UnitFile) -> str:
    """Return `Type=` with its default (systemd.service(5))."""
    if kind := unit.value("Service", "Type").lower():
        return kind
    if unit.has("Service", "BusName"):
        return "dbus"
    return "simple" if unit.values("Service", "ExecStart") else "oneshot"


def start_timeout(unit: UnitFile, kind: str) -> str:
    """Return `TimeoutStartSec=`. A oneshot has none by default; 90 s is DefaultTimeoutStartSec=."""
    value = unit.value("Service", "TimeoutStartSec") or unit.value("Service", "TimeoutSec")
    if value in ("0", "infinity"):
        return "infinity"
    return value or ("infinity" if kind == "oneshot" else "90s")


def commands(unit: UnitFile, *keys: str) -> str:
    """Return the commands of these keys of [Service], one per line."""
    return "\n".join(line.value for key in keys for line in unit.values("Service", key))


def execs(unit: UnitFile) -> tuple[Exec, ...]:
    """Return the commands of the unit's start."""
    return tuple(
        Exec(stage, line.value, line.file, line.number)
        for key, stage in STAGES.items()
        for line in unit.values("Service", key)
    )


def text_of(unit: UnitFile) -> str:
    """Return all values except those of [Unit] and [Install], such as `Description=`."""
    return "\n".join(line.value for line in unit.entries() if line.section not in ("Unit", "Install"))
