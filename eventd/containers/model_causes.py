"""Explains why a unit failed: turns log lines of podman and its helpers into plain sentences.

Pure. The rows match real lines of podman 5.4, crun, pasta and docker-compose 2.26; a line of podman that no row matches
is quoted. Output of the workload's own processes is never taken as a cause; at most it is quoted as their last line. A
process can call itself podman and lie, but only about its own unit: the sentence contains only what the line contains,
and the owner of a port is looked up only for ports that the workload itself publishes.
Next: `eventd.workloads.controller` puts the cause before systemd's message.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from eventd.desired.model import HostPort
from eventd.platform.model_log_line import LogLine, LogSource

QUOTED = "; it said: "
"""Separates a message from the unit's own status text (`UnitState.status_suffix`)."""
MOST = 200
"""The longest quote, in characters."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why."""

    sentence: str
    hint: str = ""
    port: int = 0
    """The port of the host that is in use; 0: the cause is not about a port."""


class _Row(NamedTuple):
    line: re.Pattern[str]
    sentence: str
    hint: str = ""


def _row(line: str, sentence: str, hint: str = "") -> _Row:
    return _Row(re.compile(line), sentence, hint)


_PATH = r"(?P<x>/[^:\"]*)"
_SHELL = "as the account (eventctl shell {workload}): "
_TAKEN = "port {port} of this host is already in use"
_ROWS = (
    _row(
        r"no secret with name or id \"?(?P<x>[^\":]+)\"?: no such secret",
        "this account has no secret {x}",
        _SHELL + "podman secret create {x} FILE",
    ),
    _row(
        r"unsupported external secret (?P<x>\S+)",
        "docker-compose cannot use the podman secret {x}",
        "use a file on the host: secrets: {x}: file: PATH",
    ),
    _row(
        r"(?P<x>\S+): image not known",
        "image {x} is not in this account's store",
        "push it to a registry, or " + _SHELL + "podman load",
    ),
    _row(
        r"reading manifest \S+ in (?P<x>\S+): .*(manifest unknown|name unknown)",
        "the registry has no image {x} with that tag",
        "check the name and the tag",
    ),
    _row(
        r"initializing source docker://(?P<x>localhost/\S+?): pinging container registry",
        "image {x} is not in this account's store, and localhost is not a registry",
        _SHELL + "podman load, or podman build -t {x}",
    ),
    _row(
        r"docker://(?P<x>\S+?): .*(unauthorized|denied)",
        "the registry requires a login for the image {x}",
        _SHELL + "podman login --authfile ~/.config/containers/auth.json REGISTRY",
    ),
    _row(
        r"\blookup (?P<x>[^\s:]+)(?: on \S+)?: ",
        "the name of the registry {x} cannot be resolved",
        "check the image's name, and DNS on this host",
    ),
    _row(
        r"pinging container registry (?P<x>\S+): .*(connection refused|timeout|no route to host|unreachable)",
        "the registry {x} cannot be reached",
        "check the network, and whether the registry is up",
    ),
    _row(
        r"Failed to bind port (?P<port>\d+) \(Address already in use\)",
        _TAKEN,
        "publish another port, or stop what uses it: ss -ltnp sport = :{port}",
    ),
    _row(
        r"rootlessport listen \w+ \S*:(?P<port>\d+): bind: address already in use",
        _TAKEN,
        "publish another port, or stop what uses it: ss -ltnp sport = :{port}",
    ),
    _row(
        r"Failed to bind port (?P<x>\d+) \(Permission denied\)",
        "only root may use port {x} on this host",
        "publish a higher one, or lower net.ipv4.ip_unprivileged_port_start (sysctl.d(5))",
    ),
    _row(
        rf"statfs {_PATH}: no such file or directory",
        "cannot mount {x}: it does not exist",
        "make it, for the account to read",
    ),
    _row(
        rf"statfs {_PATH}: permission denied",
        "cannot mount {x}: the account may not access it",
        "give the account x on the folders above it, or move the data",
    ),
    _row(
        rf"making volume mountpoint for volume {_PATH}: mkdir",
        "cannot mount {x}: it does not exist, and the account cannot create it",
        "make it, for the account to read",
    ),
    _row(
        r"stat (?P<x>/dev/[^:]*): no such file or directory",
        "there is no device {x}",
        'attach it; with requires = ["device:…"] the start waits for it',
    ),
    _row(
        r"parsing file \"(?P<x>[^\"]+)\": open [^:]*: (?P<y>[\w ]+)",
        "cannot read the file {x}: {y}",
        "create it, readable for the account",
    ),
    _row(
        r"executable file `(?P<x>[^`]+)` not found",
        "the image has no program {x}",
        "check Exec= or command, and the image's entry point",
    ),
    _row(
        r"the path `(?P<x>[^`]+)` is not a regular file",
        "{x} in the image is not a program",
        "see Exec= or command",
    ),
    _row(
        r"unable to find network with name or ID (?P<x>\S+): network not found",
        "this account has no network {x}",
        "add {x}.network to the workload, or " + _SHELL + "podman network create {x}",
    ),
    _row(
        r"container name \"(?P<x>[^\"]+)\" is already in use",
        "this account already has a container named {x}",
        "rename one of them, or " + _SHELL + "podman rm {x}",
    ),
    _row(
        r"unable to find user (?P<x>\S+): no matching entries in passwd file",
        "the image has no user {x}",
        "use a number, or a user of its /etc/passwd",
    ),
    _row(
        r"creating container storage: error during chown: .*lchown",
        "the account has too few subordinate ids for the requested user namespace",
        "check UserNS=, and the account's rows in /etc/subuid and /etc/subgid",
    ),
    _row(
        r"workdir \"(?P<x>[^\"]+)\" does not exist",
        "the image has no working directory {x}",
        "check WorkingDir=",
    ),
    _row(
        r"controller `(?P<x>\w+)` is not available",
        "this host delegates no {x} control to accounts",
        "Delegate={x} for user@.service, or take the limit out",
    ),
    _row(
        r"opening file `(?P<x>\w+)\.[\w.]+` for writing: No such file",
        "this host delegates no {x} control to accounts",
        "Delegate={x} for user@.service, or take the limit out",
    ),
    _row(
        r"setrlimit `RLIMIT_(?P<x>\w+)`: Operation not permitted",
        "the limit {x} is higher than this host allows for accounts",
        "lower Ulimit=, or raise it for user@.service",
    ),
    _row(r"\"(?P<x>CAP_\w+)\": unknown capability", "there is no capability {x}", "see capabilities(7)"),
    _row(
        r"sysctl '(?P<x>[^']+)' is not allowed",
        "the sysctl {x} cannot be set for a container",
        "only sysctls of its own namespaces can be set: podman-run(1) --sysctl",
    ),
)
_OWN = re.compile(r"Error: |(?:crun|runc): |provider: compose up: status \d+: |Error response from daemon: ")
_STACK = re.compile(r"(?:provider|unhealthy|podman|deadline|foreign|env-file|compose-file): (.+)")
"""The form in which eventd-compose logs why it ends (`eventd.compose.process_failure`)."""
_QUOTES = re.compile(r" \((?:its last line|its check says): .*")
"""The part that it quotes from a container, which is not trusted."""
_NOISE = re.compile(r"time=\"|Error: executing |[0-9a-f]{64}$")
_EMPTY = {"x": "", "y": "", "port": ""}


_TELLING = frozenset({LogSource.PODMAN, LogSource.HELPER, LogSource.COMPOSE})


def cause_of(lines: Sequence[str], workload: str = "") -> Cause | None:
    """Return the cause, from the last line that has one: by a row of the table, else podman's own error."""
    own = [line for line in _of_last_run(lines) if line.source in _TELLING and not _NOISE.match(line)]
    for line in reversed(own):
        if (found := _known(line, workload)) is not None:
            return found
    for line in reversed(own):
        if line.source is LogSource.PODMAN and line.startswith("Error: "):
            return Cause(f"podman says: {quoted(_OWN.sub('', line, count=2))}")
        if line.source is LogSource.COMPOSE and (said := _STACK.match(line)):
            return Cause(quoted(said[1]))
    return None


def last_words(lines: Sequence[str]) -> str:
    """Return the last line of the container's output, empty if there is none."""
    own = (line for line in reversed(_of_last_run(lines)) if line.source is LogSource.CONTAINER)
    return next((words for line in own if (words := quoted(line))), "")


def explained(
    message: str, hint: str, lines: Sequence[str], workload: str, owner: tuple[str, str] | None = None
) -> tuple[str, str]:
    """Return message and hint of a unit's failure: with the cause first, else with the container's last line.

    `owner`: unit and account that use the port; the account is empty for a system unit.
    """
    cause = cause_of(lines, workload)
    if cause is None:
        words = last_words(lines)
        return (f"{message}; its last line: {words}" if words else message), hint
    sentence, plain, hint = cause.sentence, message.partition(QUOTED)[0], cause.hint or hint
    if owner is not None:
        unit, account = owner
        sentence += f" by {unit}" + (f" of {account}" if account else "")
        hint = f"publish another port in {workload}" + (
            f", or in {account}" if account else f", or stop {unit}"
        )
    return f"{sentence}: {plain}", hint


def own_port(lines: Sequence[str], workload: str, uses: Mapping[str, Sequence[HostPort]]) -> int:
    """Return the port that is in use; 0 if there is none, or if the workload does not publish it itself.

    So a workload cannot learn about others by forging a line.
    """
    cause = cause_of(lines)
    mine = cause is not None and any(cause.port in use.ports for use in uses.get(workload, ()))
    return cause.port if cause is not None and mine else 0


def _of_last_run(lines: Sequence[str]) -> list[LogLine]:
    """Return the lines of the last invocation that logged anything. Earlier failures may have other causes."""
    told = [line for line in lines if isinstance(line, LogLine)]
    invocation = next((line.invocation for line in reversed(told) if line.source is not LogSource.OTHER), "")
    return [line for line in told if line.invocation == invocation]


def taken_by(port: int, workload: str, uses: Mapping[str, Sequence[HostPort]]) -> tuple[str, str] | None:
    """Return the unit and name of another workload that publishes a port; None if there is none."""
    return next(_publishing(port, {name: found for name, found in uses.items() if name != workload}), None)


def _publishing(port: int, uses: Mapping[str, Sequence[HostPort]]) -> Iterator[tuple[str, str]]:
    for name, found in sorted(uses.items()):
        yield from ((use.unit, name) for use in found if port in use.ports)


def _known(line: str, workload: str) -> Cause | None:
    own = _QUOTES.sub("", line)
    for row in _ROWS:
        match = row.line.search(own)
        if match is not None:
            named = {key: quoted(value) for key, value in match.groupdict().items() if value is not None}
            words = {**_EMPTY, **named, "workload": workload}
            port = int(words["port"]) if words["port"] and len(words["port"]) <= 5 else 0
            return Cause(row.sentence.format(**words), row.hint.format(**words), port)
    return None


def quoted(text: str) -> str:
    """Return the last line of a text, printable and at most MOST characters long."""
    lines = [line for line in text.splitlines() if line.strip()]
    text = "".join(c if c.isprintable() else " " for c in lines[-1]).strip() if lines else ""
    return text if len(text) <= MOST else text[: MOST - 1] + "…"
