"""Why a unit failed, from what podman and its helpers said: their lines as sentences for people.

Pure. The rows are of real lines of podman 5.4, crun, pasta and docker-compose 2.26; a line that no row knows is quoted
if podman said it. What the workload's own processes say is never read as a cause: it is at most quoted as their last
words. A process can call itself podman and so lie, but only about its own unit: a sentence has nothing but what the
line has, and a port's owner is looked up only for ports that the workload itself publishes.
Next: `eventd.workloads.controller` puts the cause before systemd's own words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from eventd.desired.model import HostPort
from eventd.platform.model_said import Said, Speaker

QUOTED = "; it said: "
"""What a unit said of itself follows, in a message (`UnitState.quoted`)."""
MOST = 200
"""Characters of anything that is quoted."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why."""

    sentence: str
    hint: str = ""
    port: int = 0
    """The port of the host that was taken; 0: it is not about one."""


class _Row(NamedTuple):
    line: re.Pattern[str]
    sentence: str
    hint: str = ""


def _row(line: str, sentence: str, hint: str = "") -> _Row:
    return _Row(re.compile(line), sentence, hint)


_PATH = r"(?P<x>/[^:\"]*)"
_SHELL = "as the account (eventctl shell {workload}): "
_TAKEN = "port {port} of this host is taken"
_ROWS = (
    _row(
        r"no secret with name or id \"?(?P<x>[^\":]+)\"?: no such secret",
        "no secret {x} in this account",
        _SHELL + "podman secret create {x} FILE",
    ),
    _row(
        r"unsupported external secret (?P<x>\S+)",
        "docker-compose cannot use the podman secret {x}",
        "use a file of the host: secrets: {x}: file: PATH",
    ),
    _row(
        r"(?P<x>\S+): image not known",
        "image {x} is not known here",
        "push it to a registry and let it be pulled, or " + _SHELL + "podman load",
    ),
    _row(
        r"reading manifest \S+ in (?P<x>\S+): .*(manifest unknown|name unknown)",
        "the registry has no image {x} of that tag",
        "check the name and the tag",
    ),
    _row(
        r"initializing source docker://(?P<x>localhost/\S+?): pinging container registry",
        "image {x} is not known here, and no registry is called localhost",
        _SHELL + "podman load, or podman build -t {x}",
    ),
    _row(
        r"docker://(?P<x>\S+?): .*(unauthorized|denied)",
        "the registry refuses to give the image {x} without a login",
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
        "check the network, and whether it runs",
    ),
    _row(
        r"Failed to bind port (?P<port>\d+) \(Address already in use\)",
        _TAKEN,
        "publish another one, or end who has it: ss -ltnp sport = :{port}",
    ),
    _row(
        r"rootlessport listen \w+ \S*:(?P<port>\d+): bind: address already in use",
        _TAKEN,
        "publish another one, or end who has it: ss -ltnp sport = :{port}",
    ),
    _row(
        r"Failed to bind port (?P<x>\d+) \(Permission denied\)",
        "port {x} is for root on this host",
        "publish a higher one, or lower net.ipv4.ip_unprivileged_port_start (sysctl.d(5))",
    ),
    _row(
        rf"statfs {_PATH}: no such file or directory",
        "there is no {x} to mount",
        "make it, for the account to read",
    ),
    _row(
        rf"statfs {_PATH}: permission denied",
        "the account may not look into {x}, which is to be mounted",
        "give it x on the folders above, or put the data elsewhere",
    ),
    _row(
        rf"making volume mountpoint for volume {_PATH}: mkdir",
        "there is no {x} to mount, and the account cannot make it",
        "make it, for the account to read",
    ),
    _row(
        r"stat (?P<x>/dev/[^:]*): no such file or directory",
        "there is no device {x}",
        'check that it is attached: requires = ["device:…"] has the start wait for it',
    ),
    _row(
        r"parsing file \"(?P<x>[^\"]+)\": open [^:]*: (?P<y>[\w ]+)",
        "the file {x} cannot be read: {y}",
        "put it there, for the account to read",
    ),
    _row(
        r"executable file `(?P<x>[^`]+)` not found",
        "the image has no program {x}",
        "see Exec= or command, and the image's own entry point",
    ),
    _row(
        r"the path `(?P<x>[^`]+)` is not a regular file",
        "{x} of the image is not a program",
        "see Exec= or command",
    ),
    _row(
        r"unable to find network with name or ID (?P<x>\S+): network not found",
        "no network {x} in this account",
        "add {x}.network to the workload, or " + _SHELL + "podman network create {x}",
    ),
    _row(
        r"container name \"(?P<x>[^\"]+)\" is already in use",
        "the container name {x} is taken in this account",
        "give one of them another name, or " + _SHELL + "podman rm {x}",
    ),
    _row(
        r"unable to find user (?P<x>\S+): no matching entries in passwd file",
        "the image has no user {x}",
        "write a number, or a user that its /etc/passwd has",
    ),
    _row(
        r"creating container storage: error during chown: .*lchown",
        "the account's subordinate ids do not reach for the user namespace that is asked for",
        "see UserNS=, and the account's rows in /etc/subuid and /etc/subgid",
    ),
    _row(
        r"workdir \"(?P<x>[^\"]+)\" does not exist",
        "the image has no folder {x} to work in",
        "see WorkingDir=",
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
        "the limit {x} is above what the host gives accounts",
        "lower Ulimit=, or raise it for user@.service",
    ),
    _row(r"\"(?P<x>CAP_\w+)\": unknown capability", "there is no capability {x}", "see capabilities(7)"),
    _row(
        r"sysctl '(?P<x>[^']+)' is not allowed",
        "the sysctl {x} cannot be set for a container",
        "only those of its own namespaces can: podman-run(1) --sysctl",
    ),
)
_OWN = re.compile(r"Error: |(?:crun|runc): |provider: compose up: status \d+: |Error response from daemon: ")
_STACK = re.compile(r"(?:provider|unhealthy|podman|deadline|foreign|env-file|compose-file): (.+)")
"""How the program of a stack's unit says why it ends (`eventd.compose.process_failure`)."""
_QUOTES = re.compile(r" \((?:its last line|its check says): .*")
"""What it quotes of a container, which is the container's word and not its own."""
_NOISE = re.compile(r"time=\"|Error: executing |[0-9a-f]{64}$")
_EMPTY = {"x": "", "y": "", "port": ""}


_TELLING = frozenset({Speaker.PODMAN, Speaker.HELPER, Speaker.COMPOSE})


def cause_of(lines: Sequence[str], workload: str = "") -> Cause | None:
    """Return why, by the last of the lines that tells: by a row of the table, else what podman called its error."""
    own = [line for line in _of_last_run(lines) if line.by in _TELLING and not _NOISE.match(line)]
    for line in reversed(own):
        if (found := _known(line, workload)) is not None:
            return found
    for line in reversed(own):
        if line.by is Speaker.PODMAN and line.startswith("Error: "):
            return Cause(f"podman says: {quoted(_OWN.sub('', line, count=2))}")
        if line.by is Speaker.COMPOSE and (said := _STACK.match(line)):
            return Cause(quoted(said[1]))
    return None


def last_words(lines: Sequence[str]) -> str:
    """Return the last line of the container's own output, empty without any."""
    own = (line for line in reversed(_of_last_run(lines)) if line.by is Speaker.CONTAINER)
    return next((words for line in own if (words := quoted(line))), "")


def explained(
    message: str, hint: str, lines: Sequence[str], workload: str, owner: tuple[str, str] | None = None
) -> tuple[str, str]:
    """Return message and hint of a unit's failure with its cause first; else with the container's last words.

    `owner`: unit and account that have the port which the cause is about; the account is empty for the system's.
    """
    cause = cause_of(lines, workload)
    if cause is None:
        words = last_words(lines)
        return (f"{message}; its last line: {words}" if words else message), hint
    sentence, plain, hint = cause.sentence, message.partition(QUOTED)[0], cause.hint or hint
    if owner is not None:
        unit, account = owner
        sentence += f" by {unit}" + (f" of {account}" if account else "")
        hint = f"publish another one in {workload}" + (
            f", or in {account}" if account else f", or stop {unit}"
        )
    return f"{sentence}: {plain}", hint


def own_port(lines: Sequence[str], workload: str, uses: Mapping[str, Sequence[HostPort]]) -> int:
    """Return the port that was taken, 0 if there is none, or one that the workload does not publish itself.

    So a line that a workload made up learns nothing of others.
    """
    cause = cause_of(lines)
    mine = cause is not None and any(cause.port in use.ports for use in uses.get(workload, ()))
    return cause.port if cause is not None and mine else 0


def _of_last_run(lines: Sequence[str]) -> list[Said]:
    """Return the lines of the last run of the unit that said anything: what failed before it is another story."""
    told = [line for line in lines if isinstance(line, Said)]
    run = next((line.run for line in reversed(told) if line.by is not Speaker.OTHER), "")
    return [line for line in told if line.run == run]


def taken_by(port: int, workload: str, uses: Mapping[str, Sequence[HostPort]]) -> tuple[str, str] | None:
    """Return unit and name of another workload that publishes a port; None without any."""
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
    """Return the last line of a text, printable and of at most MOST characters."""
    lines = [line for line in text.splitlines() if line.strip()]
    text = "".join(c if c.isprintable() else " " for c in lines[-1]).strip() if lines else ""
    return text if len(text) <= MOST else text[: MOST - 1] + "…"
