"""Finds the server of an address: a published port, a listening socket, or a host name routed by labels.

Pure. A declared `served_by` takes precedence. Next: `eventd.waits.model_build`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from eventd.gates.model_predicate_atoms import Probe, ProbeKind
from eventd.waits.model_units import Listener, UnitSpec

LOCAL_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})
_ANY = frozenset({"", "0.0.0.0", "::", "*"})  # noqa: S104  compared with, not bound to


class Server(NamedTuple):
    """A unit that answers, and the evidence for it."""

    unit: str
    scope: str
    because: str
    """`PublishPort=8080:80`, `ListenStream=80`, …"""
    file: str = ""
    socket_only: bool = False
    """Whether the listening socket is enough: the kernel accepts connections before its service runs."""


class Port(NamedTuple):
    """A port on an address of this host."""

    host: str
    """Empty for all addresses."""
    first: int
    last: int

    def answers(self, host: str, port: int) -> bool:
        """Return whether a connection to `host` and `port` comes here."""
        if not self.first <= port <= self.last:
            return False
        return self.host in _ANY or host in LOCAL_NAMES or _same(self.host, host)


@dataclass(frozen=True, slots=True)
class Directory:
    """The servers of addresses."""

    specs: tuple[UnitSpec, ...]
    listeners: tuple[Listener, ...] = ()
    hostnames: frozenset[str] = frozenset()
    """Names of this host besides localhost."""

    def servers(self, probe: Probe) -> tuple[Server, ...]:
        """Return the servers that answer a probe, each once; empty if none is known."""
        found = [*self._routed(probe)]
        if is_local(probe.host) or probe.host.lower() in self.hostnames:
            found += self._local(probe)
        return tuple({(server.unit, server.scope): server for server in reversed(found)}.values())[::-1]

    def mentioning(self, probe: Probe) -> tuple[UnitSpec, ...]:
        """Return the units whose settings name the probe's host: they may answer it."""
        if is_local(probe.host):
            return ()
        name = re.compile(rf"(?<![\w.-]){re.escape(probe.host)}(?![\w-]|\.\w)", re.IGNORECASE)
        return tuple(spec for spec in self.specs if name.search(spec.text))

    def _routed(self, probe: Probe) -> Iterator[Server]:
        if probe.kind is ProbeKind.DNS:
            return
        for spec in self.specs:
            if probe.host.lower() in spec.answers_for:
                yield Server(spec.name, spec.scope, "its labels route that name to it", spec.file)

    def _local(self, probe: Probe) -> Iterator[Server]:
        if probe.kind is ProbeKind.DNS:
            return
        for spec in self.specs:
            for text in spec.publishes:
                port = published(text)
                if port and port.answers(probe.host, probe.port):
                    yield Server(spec.name, spec.scope, f"PublishPort={text}", spec.file)
            for text in spec.listens:
                port = listening(text)
                if port and port.answers(probe.host, probe.port):
                    only = probe.kind is ProbeKind.TCP
                    yield Server(spec.name, spec.scope, f"ListenStream={text}", spec.file, socket_only=only)
        for listener in self.listeners:
            if Port(listener.host, listener.port, listener.port).answers(probe.host, probe.port):
                yield Server(listener.unit, listener.scope, f"it listens on port {listener.port}")


def is_local(host: str) -> bool:
    """Return whether it is an address of this host, whatever the name of the host."""
    if host.lower() in LOCAL_NAMES:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def published(text: str) -> Port | None:
    """Parse `PublishPort=` (podman-run(1), --publish): `[[ip:][hostPort]:]containerPort[/protocol]`.

    None if podman chooses the port of the host, or it is not TCP.
    """
    text, _, protocol = text.partition("/")
    if protocol not in ("", "tcp"):
        return None
    host = ""
    if text.startswith("["):
        host, _, text = text[1:].partition("]")
        text = text.removeprefix(":")
    parts = text.split(":")
    if len(parts) == 3:
        host, parts = parts[0], parts[1:]
    return _range(host, parts[0]) if len(parts) == 2 else None


def listening(text: str) -> Port | None:
    """Parse `ListenStream=` (systemd.socket(5)): a port, or an address with a port; None for a path."""
    if text.isdecimal():
        return _range("", text)
    host, colon, port = text.rpartition(":")
    if not colon or text.startswith(("/", "@", "%", "vsock")):
        return None
    return _range(host.strip("[]"), port)


def _range(host: str, text: str) -> Port | None:
    first, _, last = text.partition("-")
    if not first.isdecimal() or not (last or first).isdecimal():
        return None
    return Port(host, int(first), int(last or first))


def _same(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_address(one) == ipaddress.ip_address(other)
    except ValueError:
        return one.lower() == other.lower()
