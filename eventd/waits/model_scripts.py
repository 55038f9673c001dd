"""Finds start scripts that may delay a start without declaring what they wait for.

Pure. Owns which commands of a unit can delay its start, which programs query or wait for something (curl, `nc -z`,
`podman wait`, `systemctl is-active --wait`, …), and which of these are predicates: a URL, a port, a unit. The text of a
script does not always show that it waits, so every start script without a `[[wait]]` is reported.
`eventd.waits.adapter_unit_folder` reads the scripts. Next: `eventd.waits.model_build`.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from eventd.gates.model_predicate_parse import parse
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.located import Located
from eventd.kernel.model.names import unit_is_valid
from eventd.waits.model_declared import Stage, Wait
from eventd.waits.model_units import Exec, UnitSpec

_PREFIXES = "-@:+!|"
"""Special executable prefixes of systemd.service(5)."""
_INTERPRETERS = frozenset({"sh", "bash", "dash", "ash", "zsh", "busybox", "env", "perl", "ruby", "node"})
_PROGRAMS = ("/bin/", "/sbin/", "/usr/bin/", "/usr/sbin/", "/usr/lib/", "/lib/", "/usr/libexec/")
"""Folders of the distribution's programs. A file below them that cannot be read counts as a program."""
_URL = re.compile(r"https?://[A-Za-z0-9.\-]+(?::\d+)?(?:/[^\s\"'`|;)<>$\\]*)?")
_ASKS = re.compile(r"\b(curl|wget|xh|httpie)\b")
_PORT = re.compile(
    r"\b(nc|ncat|netcat)\b(?=[^|;&]*\s-\w*z)[^|;&]*?\s([A-Za-z0-9][A-Za-z0-9.\-]*)\s+(\d{1,5})\b"
)
_SYSTEMCTL = re.compile(
    r"\bsystemctl\b(?![^|;&]*--no-block)[^|;&]*?\s(?:is-active\b(?=[^|;&]*--wait)|(?:re)?start\b)([^|;&]*)"
)
_WAITS = (
    ("podman wait", re.compile(r"\b(?:podman|docker)\s+(?:container\s+)?wait\b")),
    ("compose up --wait", re.compile(r"\b(?:podman|docker)[ -]compose\b[^|;&]*\bup\b[^|;&]*--wait\b")),
    ("systemctl --wait", re.compile(r"\bsystemctl\b[^|;&]*--wait\b")),
    ("a loop", re.compile(r"^\s*(?:until\b|while\s+(?:!|true\b|:|sleep\b))")),
    ("sleep", re.compile(r"\bsleep\s+[\d.$]")),
    (
        "a database's readiness",
        re.compile(r"\b(?:pg_isready|mysqladmin\s+[^|;&]*ping|redis-cli\s+[^|;&]*ping)\b"),
    ),
    ("wait-for", re.compile(r"\b(?:wait-for(?:-it)?(?:\.sh)?|dockerize)\b")),
    (
        "a port or a name",
        re.compile(r"\b(?:nc|ncat|netcat)\s+[^|;&]*-\w*z|\bgetent\s+a?hosts|\bnslookup\b|\bdig\s"),
    ),
    ("a request", re.compile(r"\burlopen\(|\brequests\.(?:get|head|post)\(|\bcreate_connection\(|\bhttpx\.")),
    ("inotifywait", re.compile(r"\binotifywait\b")),
)
_MOST_FOUND = 20
"""How many signs of waiting are reported for one command."""


@dataclass(frozen=True, slots=True)
class Script:
    """The script of a start command: a file, or a text in the command itself."""

    path: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    """A line that queries or waits for something."""

    what: str
    """What it queries, `https://ci.example.org/ping`; or how it waits, `podman wait`."""
    place: Located
    """The line itself."""
    wait: Wait | None = None
    """The wait, if `what` is a predicate."""


@dataclass(frozen=True, slots=True)
class Undeclared:
    """A command that delays the start of its unit, which has no `[[wait]]`."""

    unit: str
    command: Exec
    script: str
    """The file that it runs; empty for the command itself."""
    read: bool
    """Whether the script could be read."""
    signs: tuple[Sign, ...]


def script_of(command: str) -> Script | None:
    """Return the script that a command line runs; None if it runs a program without a script."""
    try:
        words = shlex.split(command.lstrip(_PREFIXES))
    except ValueError:
        return Script(text=command)
    while words and posixpath.basename(words[0]) in ("env", "busybox"):
        words = [word for word in words[1:] if "=" not in word or word.startswith("/")]
    if not words:
        return None
    base = posixpath.basename(words[0])
    if base not in _INTERPRETERS and not base.startswith("python"):
        # systemd looks up a bare name in a search path that is fixed at its build.
        return Script(words[0] if "/" in words[0] else f"/usr/bin/{words[0]}", command)
    for number, word in enumerate(words[1:], 1):
        if word.startswith("-") and not word.startswith("--") and word.endswith("c"):
            return Script(text=" ".join(words[number + 1 : number + 2]))
        if not word.startswith("-"):
            return Script(word)
    return None


def named(specs: Iterable[UnitSpec]) -> frozenset[str]:
    """Return the absolute paths of all scripts, or possible scripts, that can delay a start."""
    found = (script_of(each.text) for spec in specs for each in _delaying(spec))
    return frozenset(script.path for script in found if script is not None and script.path.startswith("/"))


def undeclared(
    specs: Iterable[UnitSpec], declared: frozenset[str], contents: Mapping[str, str | None]
) -> tuple[Undeclared, ...]:
    """Return the start scripts of units that are not in `declared`.

    `contents`: path -> the text of a script; None for a binary program. A path that is missing could not be read.
    """
    found: list[Undeclared] = []
    for spec in specs:
        for command in () if spec.name in declared else tuple(_delaying(spec)):
            script = script_of(command.text)
            if script is None:
                continue
            here = list(_signs(script.text, command.file, command.line, spec.name, command, lines=False))
            read, path = True, script.path
            if path:
                content = contents.get(path, "")
                read = path in contents
                if content is None or (not read and path.startswith(_PROGRAMS)):
                    if here:  # the program itself queries something: curl
                        found.append(Undeclared(spec.name, command, "", read=True, signs=tuple(here)))
                    continue
                here += _signs(content, path, 0, spec.name, command, lines=True)
            found.append(Undeclared(spec.name, command, path, read, tuple(here[:_MOST_FOUND])))
    return tuple(sorted(found, key=lambda each: (not each.signs, each.unit, each.command.line)))


def found_waits(undeclared_: Iterable[Undeclared]) -> tuple[Wait, ...]:
    """Return the waits that were found, each once per unit."""
    waits = [sign.wait for each in undeclared_ for sign in each.signs if sign.wait is not None]
    return tuple({(wait.unit.text, wait.place.text, wait.stage): wait for wait in waits}.values())


def _delaying(spec: UnitSpec) -> Iterator[Exec]:
    """Yield the commands that the unit's start job waits for."""
    return (each for each in spec.commands if each.stage is not Stage.MAIN or spec.blocking)


def _signs(text: str, file: str, line: int, unit: str, command: Exec, *, lines: bool) -> Iterator[Sign]:
    """Yield what the lines of a text query or wait for. `lines`: whether to count them, from 1."""
    joined = re.sub(r"\\\n", " \0", text)
    number = 1
    for each in joined.split("\n"):
        at = number if lines else line
        number += 1 + each.count("\0")
        content = each.replace("\0", "").strip()
        if content and not content.startswith("#"):
            yield from _of_line(content, file, at, unit, command)


def _of_line(content: str, file: str, line: int, unit: str, command: Exec) -> Iterator[Sign]:
    def sign(what: str) -> Sign:
        place = Located(what, file, line)
        predicate = parse(place, key="")
        if isinstance(predicate, Diagnostic):
            return Sign(what, Located(content, file, line))
        wait = Wait(Located(unit, command.file, command.line), predicate, place, stage=command.stage)
        return Sign(what, Located(content, file, line), wait)

    known = False
    if asks := _ASKS.search(content):
        urls = [url.rstrip(".,:;") for url in _URL.findall(content)]
        known = True
        yield from (sign(url) for url in urls)
        if not urls:
            yield Sign(f"{asks[1]} (of what, a variable says)", Located(content, file, line))
    for port in _PORT.finditer(content):
        known = True
        yield sign(f"tcp:{port[2]}:{port[3]}")
    for units in _SYSTEMCTL.finditer(content):
        for word in units[1].split():
            if "." in word and unit_is_valid(word):
                known = True
                yield sign(f"unit:{word}")
    if not known:
        yield from (
            Sign(what, Located(content, file, line)) for what, pattern in _WAITS if pattern.search(content)
        )
