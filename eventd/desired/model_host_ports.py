"""The host's ports that workloads use, in Quadlet files, sockets and compose files, and which of them conflict.

Pure. Owns the syntax of a published port (podman-run(1) `--publish`, the Compose Specification, systemd.socket(5)),
which uses conflict, and which ports only root may bind. Variables are not expanded here. Next:
`eventd.desired.model_assembly` adds the findings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from eventd.compose.model_services import services_of
from eventd.desired.model import FileRole, HostPort
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.located import Located
from eventd.unitfiles.model_quadlet import KINDS, service_name, split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventd.desired.model_content import Content

UNPRIVILEGED = 1024
"""The default of net.ipv4.ip_unprivileged_port_start: only root may bind lower ports (ip-sysctl, kernel docs)."""
_ANY = frozenset({"", "0.0.0.0", "::", "*"})  # noqa: S104  compared with text, never bound
_RANGE = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_LARGEST = 1024
"""How many ports of a range are compared one by one."""


def published(text: str) -> tuple[str, range, str] | None:
    """Return the address, host ports and protocol of `[[IP:]HOST:]CONTAINER[/PROTOCOL]`; None if they are not fixed."""
    spec, _, protocol = text.partition("/")
    address, rest = "", spec
    if spec.startswith("["):
        address, _, rest = spec[1:].partition("]:")
    parts = rest.split(":")
    if len(parts) == 3:
        address, parts = parts[0], parts[1:]
    if len(parts) != 2:
        return None
    found = ports_of_range(parts[0])
    return (address, found, protocol.lower() or "tcp") if found else None


def ports_of_range(text: str) -> range:
    """Return the ports of `8080` or `8000-8010`; empty for anything else."""
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        return range(0)
    first, last = int(match[1]), int(match[2] or match[1])
    return range(first, min(last, first + _LARGEST - 1) + 1) if 0 < first <= last <= 65535 else range(0)


def host_ports(name: str, content: Content) -> tuple[HostPort, ...]:
    """Return the ports of the host that a workload's units publish or listen on."""
    return tuple(dict.fromkeys((*_quadlets(content), *_sockets(content), *_stack(name, content))))


def clashes(uses: Mapping[str, Iterable[HostPort]]) -> Iterator[Diagnostic]:
    """Yield a warning for each port that another unit, of any workload, uses too: only one of them can start."""
    taken: dict[tuple[int, str], list[tuple[str, HostPort]]] = {}
    for name, use in ((name, use) for name, ports in sorted(uses.items()) for use in ports):
        keys = [(port, use.protocol) for port in use.ports]
        others = (
            (key, *before)
            for key in keys
            for before in taken.get(key, ())
            if _overlap(before[1].address, use.address)
        )
        if (found := next(others, None)) is not None:
            (port, protocol), other, first = found
            whose = f"of workload {other}" if other != name else "of the same workload"
            message = (
                f"port {port}/{protocol} of the host is already used by {first.unit} {whose}"
                f" ({first.place.file}:{first.place.line})"
            )
            hint = "use another port or address for one of them"
            yield _warning(use.place, "port-twice", message, hint)
        for key in keys:
            taken.setdefault(key, []).append((name, use))


def low(uses: Iterable[HostPort], first: int) -> Iterator[Diagnostic]:
    """Yield a warning for each port below the first that ordinary users may bind."""
    for use in uses:
        if use.first < first:
            message = (
                f"port {use.first} is below {first}, the first port that ordinary users may bind on this host:"
                f" {use.unit} will not start"
            )
            hint = f"publish {use.first + 8000} instead, or set net.ipv4.ip_unprivileged_port_start (sysctl.d(5))"
            yield _warning(use.place, "low-port", message, hint)


def _overlap(one: str, other: str) -> bool:
    return one == other or one in _ANY or other in _ANY


def _quadlets(content: Content) -> Iterator[HostPort]:
    for part, unit in content.units(FileRole.QUADLET):
        extension = split(part.name)[1]
        for line in unit.values(KINDS[extension].section, "PublishPort"):
            found = published(line.value)
            if found is not None:
                place = Located(line.value, line.file, line.number)
                yield HostPort(
                    found[0], found[1][0], found[1][-1], found[2], service_name(part.name, unit), place
                )


def _sockets(content: Content) -> Iterator[HostPort]:
    for part, unit in content.units(FileRole.COMPANION):
        for key, protocol in (("ListenStream", "tcp"), ("ListenDatagram", "udp")):
            for line in unit.values("Socket", key):
                address, _, port = line.value.rpartition(":")
                found = ports_of_range(port)
                if len(found) == 1:
                    place = Located(line.value, line.file, line.number)
                    yield HostPort(address.strip("[]"), found[0], found[0], protocol, part.name, place)


def _stack(name: str, content: Content) -> Iterator[HostPort]:
    for origin, service in services_of(content):
        for port in service.ports:
            found = published(port.text)
            if found is not None:
                place = Located(port.text, origin, port.line)
                yield HostPort(found[0], found[1][0], found[1][-1], found[2], f"{name}.service", place)


def _warning(place: Located, code: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, place.file, place.line, "", message, hint, code)
