"""What the pages may name, and how it is known that it exists: one row a kind of thing.

`find` gets the text of a page and returns what it names of that kind; `exists` asks the code (`docs_code`). Each row
has a page that is wrong: `test_docs_names.py` makes sure that the check finds it, and that it passes what is right.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from eventd.gates.model_predicate_parse import parse
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.events import EventKind, Origin
from eventd.kernel.model.located import Located
from tests.unit.docs import docs_code as code
from tests.unit.docs.docs_pages import blocks, spans

FOREIGN_WORDS = frozenset(
    {
        *("cat-file", "ls-tree", "fast-forward"),  # git
        *(
            "by-partuuid",
            "by-id",
            "by-uuid",
            "set-property",
            "systemd-run",
            "auto-restart",
            "sd-bus",
        ),  # systemd
        *("final-sigkill", "final-sigterm", "stop-sigkill", "stop-sigterm", "failed-before-auto-restart"),
        *("cert-authority", "ed25519-sk", "ssh-keygen", "ssh-keyscan"),  # OpenSSH
        *("docker-compose", "podman-compose", "dbus-user-session"),  # packages
        *("systemd-sysusers", "dbus-fast", "dbus-next", "prometheus-client"),  # libraries
        *("old-media", "shop-app-1"),  # names in examples
    }
)
"""Kebab-case words of others."""
PROGRAMS = frozenset({"git", "podman", "systemd"})
"""Origins that are called like a program: `git log` is no event."""
_FILE_NAMES = frozenset(
    {"toml", "yaml", "yml", "json", "md", "service", "target", "conf", "sock", "db", "py"}
)
_ATOM = re.compile(
    r"(?:unit|user-unit|workload|container|manager|mount|volume|device|session|file|tcp|dns):\S+"
)


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of thing that a page can name."""

    name: str
    find: Callable[[str], Iterable[str]]
    exists: Callable[[str], bool]
    wrong: str
    """A page that names something of the kind which is not there."""
    right: str
    """And one that names something which is."""

    def gone(self, text: str) -> list[str]:
        """Return what a page names and the code has not."""
        return sorted({each for each in self.find(text) if not self.exists(each)})


def _everywhere(pattern: str) -> Callable[[str], list[str]]:
    """Return a finder over the whole page, code blocks too."""
    known = re.compile(pattern)
    return lambda text: [found[0] for found in known.finditer(text)]


def _in_spans(pattern: str) -> Callable[[str], list[str]]:
    """Return a finder of whole texts in backticks."""
    known = re.compile(pattern)
    return lambda text: [span for span in spans(text) if known.fullmatch(span)]


def _route_exists(text: str) -> bool:
    method, _, path = text.rpartition(" ")
    return code.is_route(method, re.split(r"[?&]", path)[0])


def _routes(text: str) -> Iterator[str]:
    for found in re.finditer(r"\b(GET|POST|PUT|DELETE|PATCH) (/[\w./{}<>-]+)", text):
        yield f"{found[1]} {found[2].rstrip('.')}"
    for found in re.finditer(r"(?<![\w/]) ?`?(?:http://eventd)?(/v1/[\w./{}-]+)", text):
        yield found[1].rstrip(".")


def _metric_exists(text: str) -> bool:
    name, _, labels = text.partition("{")
    named = set(re.findall(r"(\w+)=", labels))
    return name in code.metrics() and named <= code.metrics()[name]


def _metrics(text: str) -> Iterator[str]:
    yield from re.findall(r"(?<![\w/.-])eventd_(?!handlers|policies|simulators)\w+(?:\{[^}\n]*\})?", text)
    for name, labels in re.findall(r"^\| `(eventd_\w+)` \| \w+ \| ([^|]*) \|", text, re.MULTILINE):
        yield name + "{" + ",".join(f"{label}=" for label in re.findall(r"`(\w+)`", labels)) + "}"


def _setting_exists(text: str) -> bool:
    if (found := re.fullmatch(r"\[{1,2}([a-z_.A-Z]+)\]{1,2}(?: (\w+))?", text)) is not None:
        return code.is_key(*found[1].split("."), *([found[2]] if found[2] else []))
    return code.is_key(*text.split("."))


def _settings(text: str) -> Iterator[str]:
    for span in spans(text):
        table = re.match(r"\[{1,2}[a-z][a-z_]*(?:\.[A-Za-z]+)?\]{1,2}(?: [a-z_]+)?(?=$| =)", span)
        if table is not None:
            yield table[0]
        elif (
            (dotted := re.fullmatch(r"([a-z]+)\.([a-z_]+)", span)) is not None
            and code.is_key(dotted[1])
            and dotted[2] not in _FILE_NAMES
        ):
            yield span


def _toml(text: str) -> Iterator[str]:
    for language, block in blocks(text):
        if language.split()[:1] == ["toml"]:
            try:
                yield from code.strange_keys(tomllib.loads(block))
            except tomllib.TOMLDecodeError:
                for part in block.splitlines():  # lines of which a reader takes one
                    yield from code.strange_keys(tomllib.loads(part))


def _paths(text: str) -> Iterator[str]:
    folders = "|".join(code.FOLDERS)
    inside = [*spans(text), *(word for _, block in blocks(text) for word in block.split())]
    for span in inside:
        path = span.partition(":")[0] if ".py:" in span else span
        if re.fullmatch(rf"(?:{folders})/[\w./*<>…@-]*", path) or re.fullmatch(r"[\w./*<>…-]+\.py", path):
            yield path


def _named_in_files(text: str) -> Iterator[str]:
    """Yield `path.py:name` and `path.py::test_name`, of spans and of what stands in plain text."""
    for found in re.finditer(r"([\w/.-]+\.py)::?([A-Za-z_][\w.]*)", text):
        yield f"{found[1]}:{found[2].rstrip('.')}"


def _predicate_parses(text: str) -> bool:
    filled = re.sub(r"\[=STATE\]|=STATE", "", text)
    filled = re.sub(r"(?<=unit:)((?:WORKLOAD/)?NAME)$", r"\1.service", filled)
    filled = re.sub(r"\bPORT\b", "80", filled).replace("PATH", "/path").replace("UUID", "3f1c-2a9e")
    filled = re.sub(r"\b[A-Z]{2,}\b", "name", filled)
    return not isinstance(parse(Located(filled, "page", 1)), Diagnostic)


def _events(text: str) -> Iterator[str]:
    """Yield `ORIGIN KIND`, as `eventctl events` shows it."""
    for span in spans(text):
        origin, _, kind = span.partition(" ")
        if origin in code.values(Origin) - PROGRAMS and re.fullmatch(r"[a-z]+(?:-[a-z]+)*", kind):
            yield span


def _member_exists(text: str) -> bool:
    owner, _, name = text.partition("(")[0].partition(".")
    return name in code.members().get(owner, ())


CHECKS = (
    Check("route", _routes, _route_exists, "ask `GET /v1/stotus`", "`GET /v1/status` and `/v1/runs/ID`"),
    Check(
        "metric",
        _metrics,
        _metric_exists,
        'alert on eventd_workload_held{door="x"} > 0',
        'alert on eventd_workload_held{by="person"} > 0',
    ),
    Check(
        "setting",
        _settings,
        _setting_exists,
        "set `[api] grup`, or `host.protectd`",
        "set `[api] group`, or `host.protected`",
    ),
    Check("key of a TOML block", _toml, lambda _key: False, "```toml\n[health]\nexpects = []\n```", ""),
    Check("path", _paths, code.is_path, "see `eventd/nowhere.py`", "see `eventd/settings.py`, `tests/*`"),
    Check(
        "name in a file",
        _named_in_files,
        lambda text: code.has_name(*text.split(":")),
        "it ends in `eventd/settings.py:lode`",
        "it begins in `eventd/settings.py:load`, and `tests/unit/docs/test_links.py::anchors`",
    ),
    Check(
        "module",
        _in_spans(
            r"(?:eventd|eventd_\w+)(?:\.[A-Za-z_]\w*)+(?<!\.toml)(?<!\.service)(?<!\.sock)(?<!\.conf)(?<!\.prom)"
        ),
        code.is_module,
        "errors are those of `eventd.nowhere`",
        "`eventd.settings.load`, `eventd_policies`",
    ),
    Check(
        "member of a class",
        _in_spans(r"[A-Z]\w*[a-z]\w*\.[a-z_]+(?:\(.*\))?"),
        _member_exists,
        "call `Daemon.fly()`",
        "call `Daemon.run()`",
    ),
    Check(
        "unit",
        _everywhere(
            r"(?<![\w/*.=-])eventd(?:-[\w-]+)?@?[\w-]*\.(?:service|socket|timer|target|path|mount)\b"
        ),
        lambda name: code.is_unit(re.sub(r"\b[A-Z]{2,}\b", "x", name)),
        "start eventd-web.service",
        "start eventd.service",
    ),
    Check(
        "event",
        _events,
        lambda text: text.split()[1] in code.values(EventKind),
        "`webhook poshed`",
        "`webhook pushed`",
    ),
    Check(
        "word",
        _in_spans(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)+"),
        lambda word: word in FOREIGN_WORDS or code.is_word(word),
        "it fails with `gate-timout`",
        "it fails with `gate-timeout`",
    ),
    Check(
        "field of a document",
        lambda text: [
            name for span in spans(text) if "{" in span for name in re.findall(r'"([a-z_]+)"', span)
        ],
        code.is_field,
        '`{"wait": false, "weight": 1}`',
        '`{"wait": false, "queued": true}`',
    ),
    Check(
        "predicate",
        _in_spans(_ATOM.pattern),
        _predicate_parses,
        "`workload:db=wealthy`",
        "`workload:NAME=healthy` and `tcp:HOST:PORT`",
    ),
)
