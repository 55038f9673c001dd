"""`python docs/generate.py` (`make docs`): the pages of docs/ that are made from the code.

Owns the layout of configuration.md, metrics.md, events.md, reasons.md, api.schema.json and the list of ADRs. What they
say stands in the code: descriptions of fields, docstrings of enumerations, the types that routes name, the metrics of a
daemon on the simulated host. `docs/pages/` lays out configuration.md and rights.md; cli.md has a generator of its own,
which is run as well.
"""

# ruff: noqa: INP001  a script

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prometheus_client.metrics_core import Metric
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from docs.pages.configuration import configuration  # noqa: E402
from docs.pages.rights import rights_page  # noqa: E402
from docs.pages.words import MADE, members, sentence  # noqa: E402
from eventd import (  # noqa: E402
    domains,
)
from eventd.api import model_answers  # noqa: E402
from eventd.api import model_rights as rights  # noqa: E402
from eventd.api.loading import LOAD_TIMEOUT  # noqa: E402
from eventd.api.routing import BEGIN_TIMEOUT, Needs  # noqa: E402
from eventd.cli import reference  # noqa: E402
from eventd.kernel.model import event_ring  # noqa: E402
from eventd.repository import routes as routes_sync  # noqa: E402
from eventd.status import adapter_reasons as reasons  # noqa: E402
from eventd.status.documents_metrics import Metrics  # noqa: E402
from eventd_simulators.virtual_time import run  # noqa: E402
from tests.simulated.daemon import Story, container  # noqa: E402

DOMAINS = domains.load()
METRICS = f"""\
# Metrics

{MADE}

Prometheus' text format, at `GET /metrics` of the daemon's socket; `eventctl metrics` prints the same. Nothing
is counted twice: a scrape reads the counters that `eventctl status --json` shows too. The daemon listens on
no port; for node-exporter's textfile collector there is `eventctl metrics > …/eventd.prom`.

| metric | type | labels | |
|---|---|---|---|
"""
ALERTS = """\

Worth an alert: `eventd_last_run_success == 0`, `eventd_fetch_failing == 1`, `eventd_update_failed == 1`, and
`eventd_workload_converged == 0 unless on (workload) eventd_workload_held{by="person"}` for longer than a deployment
takes: a disk that somebody ejected, a suspension, an open approval are held by a person, and are no failure.
"""
DECISIONS = f"""\
# Decisions

{MADE}

A decision is written down when somebody will ask why: the problem, what was decided, the alternatives, the
consequences. A later one that changes it says so in both.

| | |
|---|---|
"""
EVENTS = f"""\
# Events

{MADE}

An event says what eventd read again; it never carries a decision. `eventctl events --follow` shows them as
they come, `GET /v1/events` has them [as JSON](api.md#event). The latest {event_ring.MOST:,} are kept, in
memory: a workload with many events pushes out its own, not those of others.

## Origins

| origin | |
|---|---|
"""

FACTS = """
## Facts

What eventd knows of the host: plans, gates and `eventctl why` use these. A fact has a
kind, a name and, if it belongs to a workload, a scope. One that was never read is unknown, which is not "no".

| kind | |
|---|---|
"""


def metrics() -> Iterator[str]:
    """Yield metrics.md: the families of a daemon that has deployed one workload, with all labels that they declare."""
    yield from METRICS.splitlines()
    for family in run(_families()):
        name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
        declared = getattr(family, "_labelnames", ())  # also of one that has no sample just now
        labels = {*declared, *(label for sample in family.samples for label in sample.labels)}
        shown = ", ".join(f"`{label}`" for label in sorted(labels))
        kind = "gauge" if family.type == "info" else family.type
        yield f"| `{name}` | {kind} | {shown} | {sentence(family.documentation)} |"
    yield from ALERTS.splitlines()


async def _families() -> list[Metric]:
    story = Story()
    await story.start()
    story.push(container("web"))
    await story.quiet()
    return list(Metrics(story.engine.queries, DOMAINS.metrics).collect())


def events() -> Iterator[str]:
    """Yield events.md."""
    yield from EVENTS.splitlines()
    yield from members(*DOMAINS.origins)
    yield from ("", "## Kinds", "", "| kind | |", "|---|---|")
    yield from members(*DOMAINS.events)
    yield from FACTS.splitlines()
    for owner in DOMAINS.facts:
        comments = dict(re.findall(r'"([a-z-]+)"  # (.*)$', inspect.getsource(owner), re.MULTILINE))
        for each in owner:
            yield f"| `{each}` | {sentence(comments[each])} |"


REASONS = f"""\
# Reasons

{MADE}

Every reason that eventd gives, in `eventctl status`, `why`, the log, the API and the exit of a command: what it means,
and what to do. `eventctl explain REASON` says the same. A reason is stable: scripts may rely on it. Two kinds are not
listed: the names of rarer D-Bus errors, in kebab-case (`unit-exists` is
`org.freedesktop.systemd1.UnitExists`), and what another program's message quotes.

A `*` stands for a part that is filled in at run time.
"""


def reasons_page() -> Iterator[str]:
    """Yield reasons.md."""
    yield from REASONS.splitlines()
    group = ""
    for each in reasons.table():
        findings = each.group == reasons.FINDINGS
        if each.group != group:
            group = each.group
            yield from ("", f"## {group}", "")
            if findings:
                yield from (FOUND, "")
            yield from (
                ("| code | meaning |", "|---|---|")
                if findings
                else ("| reason | meaning | what to do |", "|---|---|---|")
            )
        yield f"| `{each.name}` | {each.meaning} |" + ("" if findings else f" {each.way_out} |")


FOUND = """\
Codes of the findings of `eventctl check`, and reasons of a workload that is refused. Each finding has its file,
its line and what to do about it; see [the repository](repository.md#findings)."""


def decisions() -> Iterator[str]:
    """Yield the list of decisions, from their titles."""
    yield from DECISIONS.splitlines()
    for path in sorted((HERE / "adr").glob("[0-9]*.md")):
        number, _, title = path.read_text(encoding="utf-8").splitlines()[0].removeprefix("# ").partition(". ")
        yield f"| {number} | [{title}]({path.name}) |"


def routes() -> Iterator[str]:
    """Yield the table of routes: what each is called, who may ask it, what it answers."""
    yield "| request | operators | a workload | body, and answer |"
    yield "|---|---|---|---|"
    for route in DOMAINS.routes:
        path = re.sub(r"\{(\w+)\}", lambda part: part[1].upper(), route.path)
        roles = (rights.Role.OPERATOR, rights.Role.WORKLOAD)
        scopes = " | ".join(rights.scope(route.right, role) for role in roles)
        yield f"| `{route.method} {path}` | {scopes} | {route.answers} |"
    early = sorted(
        {
            f"`{route.path}`"
            for route in DOMAINS.routes
            if route.needs is Needs.NOTHING and "{" not in route.path
        }
    )
    hasty = sorted(
        {f"`{route.path}`" for route in DOMAINS.routes if route.needs is Needs.HOST and "{" not in route.path}
    )
    yield from (
        "",
        f"Root may ask everything. A daemon that has not read the host yet answers {', '.join(early)};",
    )
    yield f"the others wait up to {BEGIN_TIMEOUT:g} s for it, and are then answered `starting`. Of these,"
    yield f"{', '.join(hasty)} and what is below them do not depend on the repository;"
    yield f"the rest wait up to {LOAD_TIMEOUT:g} s for the first commit after a start, too."


SCHEMA = """\
The HTTP API of eventd's daemon. `routes` has what each route takes (`body`) and answers: a document (`answer`), or
lines of which each is one (`lines`). A status of 400 or more has an `error`. Within /v1, fields and
values of enumerations may be added."""


class _Plain(GenerateJsonSchema):
    """Without a title for each field, which says no more than its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False


def api_schema() -> Iterator[str]:
    """Yield api.schema.json: of every route, what it takes and answers."""
    told: list[tuple[str, dict[str, Any]]] = [
        (f"{route.method} {route.path}", {"body": route.body, "answer": route.document, "lines": route.lines})
        for route in DOMAINS.routes
    ]
    pushed: Any = model_answers.Queued | routes_sync.Ignored
    told += [
        ("POST /v1/pushed", {"body": routes_sync.Pushed, "answer": pushed}),
        ("error", {"": model_answers.Refusal}),
    ]
    schemas, shared = TypeAdapter.json_schemas(
        # Bodies as they may be sent, answers as they are given.
        [
            ((name, part), "validation" if part == "body" else "serialization", TypeAdapter(kind))
            for name, kinds in told
            for part, kind in kinds.items()
            if kind is not None
        ],
        schema_generator=_Plain,
    )
    parts: dict[str, dict[str, Any]] = {}
    for ((name, part), _mode), schema in schemas.items():
        parts.setdefault(name, {})[part] = schema
    error = parts.pop("error")[""]
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "eventd",
        "description": SCHEMA.replace("\n", " "),
        "routes": parts,
        "error": error,
        "$defs": shared["$defs"],
    }
    yield from json.dumps(document, indent=1).splitlines()


PAGES = {
    "reference/configuration.md": configuration,
    "reference/metrics.md": metrics,
    "reference/events.md": events,
    "reference/cli.md": reference.lines,
    "reference/reasons.md": reasons_page,
    "reference/rights.md": rights_page,
    "reference/api.schema.json": api_schema,
    "adr/README.md": decisions,
}


def packages() -> Iterator[str]:
    """Yield the map of the code: each package, and the first sentences of what it says of itself."""
    yield "| folder | |"
    yield "|---|---|"
    for pattern in ("eventd/*", "handlers/*", "policies/*", "simulators/*"):
        for path in sorted(HERE.parent.glob(f"{pattern}/__init__.py")):
            about = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            summary = about.partition("\n\n")[0].replace("\n", " ")
            yield f"| `{path.parent.relative_to(HERE.parent)}/` | {sentence(summary)} |"


def contracts() -> Iterator[str]:
    """Yield what import-linter holds."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    for each in project["tool"]["importlinter"]["contracts"]:
        yield f"- {sentence(each['name'])}"


SECTIONS = {
    "reference/api.md": {"routes": routes},
    "explanation/architecture.md": {"packages": packages, "contracts": contracts},
}
"""Pages of which only parts are made from the code: between `<!-- begin NAME -->` and `<!-- end NAME -->`."""


def made(name: str) -> str:
    """Return a page as it should be."""
    if name in PAGES:
        return "".join(f"{line}\n" for line in PAGES[name]())
    text = (HERE / name).read_text(encoding="utf-8")
    for part, lines in SECTIONS[name].items():
        begin, end = f"<!-- begin {part}: made by `make docs` -->\n", f"<!-- end {part} -->"
        before, rest = text.split(begin)
        _, after = rest.split(end)
        text = before + begin + "\n" + "".join(f"{line}\n" for line in lines()) + "\n" + end + after
    return text


if __name__ == "__main__":
    for page in (*PAGES, *SECTIONS):
        (HERE / page).write_text(made(page), encoding="utf-8")
