"""Parses the atoms of predicates: `unit:NAME=failed`, `tcp:HOST:PORT`, `https://…=200`.

Pure. Knows the arguments of each kind, looks names up in the `Scope`, and suggests the nearest valid spelling.
`eventd.gates.model_predicate_parse` splits the text into atoms, and turns mistakes into diagnostics.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from eventd.gates.model_predicate_atoms import (
    UNIT_STATES,
    Answers,
    Atom,
    ContainerHealthy,
    ManagerUp,
    Present,
    Probe,
    ProbeKind,
    SessionOf,
    UnitIs,
    WorkloadIs,
)
from eventd.gates.model_predicate_scope import NOWHERE, Scope
from eventd.kernel.model.facts import FactKind
from eventd.kernel.model.names import did_you_mean, nearest, unit_is_valid
from eventd.mounts.model_facts import MountFact
from eventd.platform.model_facts import PlatformFact
from eventd.storage.model_facts import StorageFact

UNIT_SUFFIXES = (
    *("service", "socket", "target", "mount", "automount", "timer"),
    *("path", "slice", "scope", "swap", "device"),
)
_KIND = re.compile(r"([A-Za-z-]+):")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")
_UUID = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{3,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


class MistakeError(Exception):
    """A mistake in a text; `eventd.gates.model_predicate_parse` turns it into a diagnostic."""

    def __init__(self, message: str, hint: str = "", code: str = "bad-predicate") -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


def atom(text: str, scope: Scope = NOWHERE) -> Atom:
    """Parse one atom. Raises MistakeError."""
    kind = _KIND.match(text)
    if kind is None:
        hint = f"write unit:{text}" if unit_is_valid(text) and text.endswith(_dotted()) else _all_kinds()
        hint = f"write file:{text} or mount:{text}" if text.startswith("/") else hint
        raise MistakeError(f"{text!r} has no kind", hint, "unknown-predicate")
    name = kind[1]
    if name not in _ATOMS:
        hint = did_you_mean(name, _ATOMS)
        raise MistakeError(f"unknown predicate {name}:", hint or _all_kinds(), "unknown-predicate")
    rest = text[kind.end() :]
    if not rest:
        raise MistakeError(f"{text} names nothing", f"write {_EXAMPLES[name]}")
    if any(char.isspace() for char in rest) and name not in ("mount", "file"):
        hint = "write several as a list, or all(…, …)" if "," in rest else ""
        raise MistakeError(f"there is white space in {text!r}", hint)
    return _ATOMS[name](text, rest, scope)


def _dotted() -> tuple[str, ...]:
    return tuple(f".{suffix}" for suffix in UNIT_SUFFIXES)


def _all_kinds() -> str:
    return f"a predicate begins with one of {', '.join(f'{kind}:' for kind in _ATOMS)}"


def _state(text: str, states: tuple[str, ...], default: str) -> tuple[str, str]:
    """Return the name and the state after the last `=`."""
    name, equals, state = text.rpartition("=")
    if not equals:
        return text, default
    if state not in states:
        raise MistakeError(f"unknown state {state!r}", did_you_mean(state, states), "unknown-state")
    return name, state


def _unit_name(name: str) -> str:
    suffix = name.rpartition(".")[2] if "." in name else ""
    if suffix not in UNIT_SUFFIXES:
        near = nearest(suffix, UNIT_SUFFIXES) if suffix else None
        hint = (
            f"did you mean {name.rpartition('.')[0]}.{near}?"
            if near
            else f"write {name}.service, or its other type"
        )
        raise MistakeError(f"{name!r} has no unit type", hint, "bad-unit-name")
    if not unit_is_valid(name):
        raise MistakeError(
            f"{name!r} is not a valid unit name", "use letters, digits, and : _ . - @", "bad-unit-name"
        )
    return name


def _unit(text: str, rest: str, scope: Scope) -> Atom:
    name, state = _state(rest, UNIT_STATES, "active")
    # If the workload has a unit of that name itself, `unit:web.service` means its own.
    own = scope.workload if _unit_name(name) in scope.units else ""
    return UnitIs(text, name, state, own)


def _user_unit(text: str, rest: str, scope: Scope) -> Atom:
    path, state = _state(rest, UNIT_STATES, "active")
    workload, slash, name = path.partition("/")
    if not slash:
        raise MistakeError(f"{text} does not name the workload", f"write user-unit:WORKLOAD/{workload}")
    _known_workload(workload, scope)
    units = (scope.workloads or {}).get(workload, frozenset())
    if _unit_name(name) not in units:
        alike = [unit for unit in units if unit.rpartition(".")[2] == name.rpartition(".")[2]]
        if near := nearest(name, alike):
            raise MistakeError(
                f"the workload {workload} has no unit {name}", f"did you mean {near}?", "unknown-unit"
            )
    return UnitIs(text, name, state, workload)


def _known_workload(name: str, scope: Scope) -> str:
    if scope.workloads is not None and name not in scope.workloads:
        hint = did_you_mean(name, scope.workloads)
        raise MistakeError(f"this host has no workload {name}", hint, "unknown-workload")
    return _plain(name, _USER, "workload")


def _workload(text: str, rest: str, scope: Scope) -> Atom:
    name, state = _state(rest, ("active", "healthy"), "")
    if not state:
        raise MistakeError(f"{text} has no state", f"write workload:{name}=healthy or =active")
    if name == scope.workload:
        hint = "write container:NAME=healthy, or unit:NAME for one of its own units"
        raise MistakeError("a workload cannot wait for itself", hint, "waits-for-itself")
    return WorkloadIs(text, _known_workload(name, scope), state)


def _container(text: str, rest: str, scope: Scope) -> Atom:
    name, state = _state(rest, ("healthy",), "")
    if not state:
        raise MistakeError(f"{text} has no state", f"write container:{name}=healthy")
    if not scope.workload:
        return ContainerHealthy(text, _plain(name, _NAME, "container"), "")
    made = scope.containers.get(name)
    if made is None:
        hint = did_you_mean(name, scope.containers)
        raise MistakeError(f"this workload has no container {name}", hint, "unknown-container")
    return ContainerHealthy(text, made.name, scope.workload, made.unit if made.notify_healthy else "")


def _plain(name: str, pattern: re.Pattern[str], what: str) -> str:
    if not pattern.fullmatch(name):
        raise MistakeError(f"{name!r} is not a valid name of a {what}")
    return name


def _path(rest: str) -> str:
    if not rest.startswith("/"):
        raise MistakeError(f"{rest!r} is not an absolute path", f"did you mean /{rest}?")
    parts = [part for part in rest.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise MistakeError(f"{rest!r} contains ..", "write the path without it")
    return "/" + "/".join(parts)


def _host(name: str) -> str:
    bare = name[1:-1] if name.startswith("[") and name.endswith("]") else name
    if not (_HOST.fullmatch(name) or (bare != name and re.fullmatch(r"[0-9A-Fa-f:.]+", bare))):
        hint = "an IPv6 address goes into brackets: [::1]" if ":" in name else ""
        raise MistakeError(f"{name!r} is not a valid host name or address", hint)
    return bare


def _tcp(text: str, rest: str, _scope: Scope) -> Atom:
    host, colon, port = rest.rpartition(":")
    if not colon or not port.isdecimal():
        raise MistakeError(f"{text} has no port", f"write tcp:{rest.rstrip(':')}:443")
    if not 0 < int(port) < 65536:
        raise MistakeError(f"{port} is not a valid port", "use 1 to 65535")
    return Answers(text, Probe(ProbeKind.TCP, text, _host(host), int(port)))


def _dns(text: str, rest: str, _scope: Scope) -> Atom:
    return Answers(text, Probe(ProbeKind.DNS, text, _host(rest)))


def _http(text: str, _rest: str, _scope: Scope) -> Atom:
    url, status = _split_status(text)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise MistakeError(f"{url} is not a valid URL: {error}") from error
    if not text.partition(":")[2].startswith("//") or not parts.hostname:
        raise MistakeError(f"{url} has no host", f"write {parts.scheme}://HOST/…")
    if parts.username is not None or parts.password is not None:
        raise MistakeError(
            "the user or password in this URL would be shown in the status", "use a URL without them"
        )
    if parts.fragment:
        raise MistakeError(f"the part after # of {url} is never sent", "remove it")
    _host(parts.hostname if ":" not in parts.hostname else f"[{parts.hostname}]")
    port = port or (443 if parts.scheme == "https" else 80)
    return Answers(text, Probe(ProbeKind.HTTP, text, parts.hostname, port, url, status))


def _split_status(text: str) -> tuple[str, int | None]:
    """Split off `=STATUS`. In `?code=200` the 200 belongs to the parameter; with a status, it is `?code=200=200`."""
    url, equals, status = text.rpartition("=")
    query = url.partition("?")[2]
    if not equals or ("?" in url and "=" not in query.rpartition("&")[2]):
        return text, None
    if not status.isdecimal():
        if "?" in url:
            return text, None
        raise MistakeError(
            f"{status!r} is not a valid HTTP status", f"write {url}=200, or leave it out for 200 to 399"
        )
    if not 100 <= int(status) < 600:
        raise MistakeError(f"{status} is not a valid HTTP status", "use 100 to 599")
    return url, int(status)


def _present(kind: FactKind) -> Callable[[str, str, Scope], Atom]:
    return lambda text, rest, _scope: Present(text, kind, _path(rest))


def _device(text: str, rest: str, _scope: Scope) -> Atom:
    if rest.startswith("/"):
        raise MistakeError(
            f"{text} may be another device after the next boot", "use its UUID: blkid shows it"
        )
    return Present(text, MountFact.DEVICE, _plain(rest, _UUID, "filesystem (a UUID)"))


_ATOMS: Mapping[str, Callable[[str, str, Scope], Atom]] = {
    "unit": _unit,
    "user-unit": _user_unit,
    "workload": _workload,
    "container": _container,
    "manager": lambda text, rest, _scope: ManagerUp(text, _plain(rest, _USER, "user")),
    "mount": _present(MountFact.MOUNT),
    "volume": lambda text, rest, _scope: Present(text, StorageFact.VOLUME, _plain(rest, _NAME, "volume")),
    "device": _device,
    "session": lambda text, rest, _scope: SessionOf(text, _plain(rest, _USER, "user")),
    "file": _present(PlatformFact.FILE),
    "tcp": _tcp,
    "dns": _dns,
    "http": _http,
    "https": _http,
}
_EXAMPLES: Mapping[str, str] = {
    "unit": "unit:network-online.target",
    "user-unit": "user-unit:web/web.service",
    "workload": "workload:db=healthy",
    "container": "container:web=healthy",
    "manager": "manager:web",
    "mount": "mount:/srv/media",
    "volume": "volume:media",
    "device": "device:0a1b2c3d-…",
    "session": "session:alice",
    "file": "file:/etc/hostname",
    "tcp": "tcp:db.example.org:5432",
    "dns": "dns:registry.example.org",
    "http": "http://127.0.0.1:8080/ping",
    "https": "https://example.org/=200",
}
