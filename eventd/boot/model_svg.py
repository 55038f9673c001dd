"""Draws a boot as SVG: a row per fact and workload over a time axis, with the critical path as a line.

Pure. An SVG 1.1 of fixed width, with a light and a dark background (a viewer without `prefers-color-scheme` shows the
light one). All texts are escaped, and cut to fit.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from eventd.boot.model import BootRecord, FactTime, SpanKind, WorkloadBoot, caveat, headline, seconds
from eventd.boot.model_path import Hop, critical_path
from eventd.kernel.model.letters import cut, width

WIDTH = 900
LEFT = 232
"""Left end of the time axis; labels are left of it."""
RIGHT = 806
"""Right end of the time axis; times are right of it."""
ROW = 22
MOST_ROWS = 40
"""Workloads with their own row, the last to converge; nobody reads a longer picture."""
MOST_FACTS = 40
MOST_HOPS = 14
_STEPS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30),
    *(60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400),
)
_LEGEND = (
    ("system", "systemd, eventd"),
    ("wait", "waits at a gate"),
    ("prepare", "is prepared"),
    ("start", "starts"),
    ("verify", "is verified"),
    ("failed", "failed"),
)
_STYLE = """
.page{fill:#ffffff;stroke:#d0d7de}.text{fill:#1f2328}.muted{fill:#59636e}.head{fill:#1f2328;font-weight:600}
.grid{stroke:#e4e8ec}.axis{stroke:#8c959f}.band{fill:#f6f8fa}
.system{fill:#9aa4b0}.wait{fill:#f0c648}.prepare{fill:#7fa8c9}.start{fill:#2f74d0}.verify{fill:#8a5cd6}
.failed{fill:#d1342f}.came{fill:#4b5560}.done{fill:#1a7f37}
.path{stroke:#e0470c;stroke-width:2.5;fill:none;stroke-linejoin:round;stroke-linecap:round}.share{fill:#e0470c}
@media (prefers-color-scheme:dark){
.page{fill:#0d1117;stroke:#30363d}.text{fill:#e6edf3}.muted{fill:#9198a1}.head{fill:#f0f6fc}
.grid{stroke:#21262d}.axis{stroke:#6e7681}.band{fill:#151b23}
.system{fill:#6e7681}.wait{fill:#c69026}.prepare{fill:#57859f}.start{fill:#4184e4}.verify{fill:#986ee2}
.failed{fill:#e5534b}.came{fill:#c0c8d0}.done{fill:#3fb950}.path{stroke:#ff7b3d}.share{fill:#ff7b3d}
}
"""


@dataclass(frozen=True, slots=True)
class _Bar:
    begin: float
    end: float
    style: str
    title: str


@dataclass(frozen=True, slots=True)
class _Row:
    subject: str
    label: str
    bars: tuple[_Bar, ...] = ()
    came: float | None = None
    """When the fact was observed; drawn as a tick."""
    done: float | None = None
    """When the workload converged; drawn as a diamond."""
    note: str = ""
    heading: bool = False


def svg(record: BootRecord) -> str:
    """Return the picture."""
    path = critical_path(record)
    limit = max(record.converged or record.until, path[-1].end if path else 0.0, 0.001)
    rows = [*_system(record), *_facts(record, path), *_workloads(record, limit)]
    return "\n".join(_Picture(record, rows, path, limit).lines()) + "\n"


def _system(record: BootRecord) -> Iterator[_Row]:
    phases = record.phases
    userspace = phases.userspace or 0.0
    yield _Row("", "the system", heading=True)
    if record.origin.value == "kernel":
        first = phases.initrd if phases.initrd is not None else userspace
        yield _Row(
            "kernel", "kernel", (_Bar(0.0, first, "system", "the kernel starts"),), note=seconds(first)
        )
        if phases.initrd is not None:
            bar = _Bar(phases.initrd, userspace, "system", "the initial RAM disk")
            yield _Row("initrd", "initial RAM disk", (bar,), note=seconds(userspace))
    if record.origin.value != "daemon":
        end = phases.finished if phases.finished is not None else record.until
        title = "systemd: until the boot's last job was done"
        note = seconds(end) if phases.finished is not None else ""
        yield _Row("systemd", "systemd", (_Bar(userspace, end, "system", title),), note=note)
    ready = record.ready if record.ready is not None else record.until
    bar = _Bar(record.started, ready, "system", "eventd: from its start until it was ready")
    yield _Row("eventd", "eventd", (bar,), note=seconds(ready) if record.ready is not None else "")


def _facts(record: BootRecord, path: Sequence[Hop]) -> Iterator[_Row]:
    """Yield the facts that were waited for, and slow units behind them, in order of time."""
    shown = [fact for fact in record.facts if not (fact.early and fact.came is None)]
    texts = {fact.text for fact in shown}
    behind = {hop.unit for hop in path if hop.unit and hop.subject == hop.unit} - texts
    shown += [FactTime(u.name, u.came, u.began, unit=u.name) for u in record.units if u.name in behind]
    shown.sort(key=lambda fact: (fact.came is None, fact.came or 0.0, fact.text))
    hidden = max(0, len(shown) - MOST_FACTS)
    if hidden:
        yield _Row("", f"{hidden} earlier ones", note=_came(shown[hidden - 1]))
    for fact in shown[hidden:]:
        bars: tuple[_Bar, ...] = ()
        if fact.began is not None:
            end = fact.came if fact.came is not None else record.until
            bars = (_Bar(fact.began, end, "system", f"{fact.unit or fact.text} starts"),)
        yield _Row(fact.text, fact.text, bars, came=fact.came, note=_came(fact))


def _came(fact: FactTime) -> str:
    if fact.came is None:
        return "not yet"
    return seconds(fact.came) if fact.came >= 0 else "before"


def _workloads(record: BootRecord, limit: float) -> Iterator[_Row]:
    if not record.workloads:
        return
    yield _Row("", "workloads", heading=True)
    ordered = sorted(record.workloads, key=lambda w: (w.converged is None, w.converged or 0.0, w.name))
    hidden = max(0, len(ordered) - MOST_ROWS)
    if hidden:
        yield _Row("", f"{hidden} earlier ones", note=_note(ordered[hidden - 1]))
    for each in ordered[hidden:]:
        bars = tuple(
            _Bar(
                s.begin,
                limit if s.end is None else s.end,
                "failed" if s.failed else s.kind.value,
                _title(s.kind, s.text),
            )
            for s in sorted(each.spans, key=lambda s: s.kind is not SpanKind.WAIT)
        )
        yield _Row(each.name, each.name, bars, done=each.converged, note=_note(each))


def _note(workload: WorkloadBoot) -> str:
    return seconds(workload.converged) if workload.converged is not None else workload.state


def _title(kind: SpanKind, text: str) -> str:
    return {SpanKind.WAIT: f"waits for {text}", SpanKind.FAILED: f"failed: {text}"}.get(kind, text)


class _Picture:
    """Lays out the rows."""

    def __init__(self, record: BootRecord, rows: Sequence[_Row], path: Sequence[Hop], limit: float) -> None:
        self.record = record
        self.rows = rows
        self.path = path
        self.limit = limit
        self.top = 92 if caveat(record) else 74
        self.bottom = self.top + ROW * len(rows)
        shown = min(len(path), MOST_HOPS) + (1 if len(path) > MOST_HOPS else 0)
        self.list_top = self.bottom + 84
        self.height = self.list_top + shown * 19 + 12
        self.at = {row.subject: self.top + ROW * n for n, row in enumerate(rows) if row.subject}

    def x(self, time: float) -> float:
        """Return the x coordinate of a time."""
        return LEFT + (RIGHT - LEFT) * min(max(time, 0.0), self.limit) / self.limit

    def lines(self) -> Iterator[str]:
        """Yield the file."""
        title = headline(self.record)
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{self.height}"'
            f' viewBox="0 0 {WIDTH} {self.height}" role="img" font-size="12"'
            " font-family=\"system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif\">"
        )
        yield f"<title>{_safe(title)}</title>"
        yield f"<style>{_STYLE}</style>"
        yield f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{self.height - 1}" rx="8"/>'
        yield _text(20, 30, "head", title, WIDTH - 40, size=15)
        if note := caveat(self.record):
            yield _text(20, 50, "muted", note, WIDTH - 40)
        yield from self._axis()
        for number, row in enumerate(self.rows):
            yield from self._row(row, self.top + ROW * number, number)
        yield from self._line()
        yield from self._legend()
        yield from self._list()
        yield "</svg>"

    def _axis(self) -> Iterator[str]:
        step = next((s for s in _STEPS if self.limit / s <= 8), 86400 * 7)
        ticks = int(self.limit / step + 1e-9)
        for number in range(ticks + 1):
            x = self.x(number * step)
            yield f'<line class="grid" x1="{x:.1f}" y1="{self.top - 6}" x2="{x:.1f}" y2="{self.bottom}"/>'
            label = _clock(number * step, step)
            yield f'<text class="muted" x="{x:.1f}" y="{self.top - 11}" text-anchor="middle">{label}</text>'
        yield f'<line class="axis" x1="{LEFT}" y1="{self.top - 6}" x2="{RIGHT}" y2="{self.top - 6}"/>'

    def _row(self, row: _Row, y: int, number: int) -> Iterator[str]:
        middle = y + ROW // 2
        if row.heading:
            yield _text(20, middle + 5, "head", row.label, LEFT - 28)
            return
        if number % 2:
            yield f'<rect class="band" x="12" y="{y}" width="{WIDTH - 24}" height="{ROW}" opacity="0.6"/>'
        yield _text(28, middle + 4, "text", row.label, LEFT - 40)
        yield _text(RIGHT + 10, middle + 4, "muted", row.note, WIDTH - RIGHT - 18)
        for bar in row.bars:
            if bar.begin > self.limit:
                continue
            x = self.x(bar.begin)
            wide = max(2.0, self.x(bar.end) - x)
            x = min(x, RIGHT - wide)
            title = f"<title>{_safe(bar.title)}: {seconds(bar.end - bar.begin)}</title>"
            yield (
                f'<rect class="{bar.style}" x="{x:.1f}" y="{y + 5}" width="{wide:.1f}" height="10" rx="2">'
                f"{title}</rect>"
            )
        if row.came is not None and 0.0 <= row.came <= self.limit:
            x = self.x(row.came)
            yield f'<rect class="came" x="{x - 1.5:.1f}" y="{y + 3}" width="3" height="14" rx="1.5"/>'
        if row.done is not None:
            x = self.x(row.done)
            yield f'<path class="done" d="M{x:.1f} {y + 4}l6 6l-6 6l-6 -6z"/>'

    def _line(self) -> Iterator[str]:
        """Draw the critical path: along the bottom of each of its rows, and vertically in between."""
        points: list[str] = []
        for hop in self.path:
            y = self.at.get(hop.subject, self.at.get("systemd", self.at.get("eventd")))
            if y is not None:
                points += [f"{self.x(time):.1f},{y + ROW - 4}" for time in (hop.begin, hop.end)]
        if points:
            yield f'<polyline class="path" points="{" ".join(points)}"/>'

    def _legend(self) -> Iterator[str]:
        y = self.bottom + 26
        used = {bar.style for row in self.rows for bar in row.bars}
        x = 28.0
        for style, label in _LEGEND:
            if style in used:
                yield f'<rect class="{style}" x="{x:.0f}" y="{y - 9}" width="16" height="10" rx="2"/>'
                yield _text(x + 21, y, "muted", label, 200)
                x += 32 + width(label, 12)
        yield f'<path class="done" d="M{x + 6:.0f} {y - 10}l6 6l-6 6l-6 -6z"/>'
        yield _text(x + 17, y, "muted", "converged", 100)
        x += 28 + width("converged", 12)
        yield f'<path class="path" d="M{x:.0f} {y - 4}h16"/>'
        yield _text(x + 21, y, "muted", "critical path", 120)

    def _list(self) -> Iterator[str]:
        y = self.list_top
        yield _text(20, y - 20, "head", "Critical path: where the time went", 400)
        longest = max((hop.share(self.limit) for hop in self.path), default=0.0) or 1.0
        # The longest ones, in the order of time.
        chosen = sorted(
            sorted(self.path, key=lambda hop: -hop.seconds)[:MOST_HOPS], key=lambda hop: hop.begin
        )
        for hop in chosen:
            share = hop.share(self.limit)
            yield _end(78, y, "text", seconds(hop.seconds))
            yield _end(118, y, "muted", f"{share * 100:.0f} %")
            wide = max(1.5, 92 * share / longest)
            yield f'<rect class="share" x="128" y="{y - 9}" width="{wide:.1f}" height="10" rx="2"/>'
            yield _text(LEFT, y, "text", hop.what, WIDTH - LEFT - 20)
            y += 19
        if len(self.path) > MOST_HOPS:
            yield _text(
                LEFT, y, "muted", f"… and {len(self.path) - MOST_HOPS} shorter parts", WIDTH - LEFT - 20
            )


def _clock(time: float, step: float) -> str:
    if step < 60 and time < 60:
        return f"{round(time, 3):g} s"
    minutes, rest = divmod(round(time), 60)
    if step >= 3600:
        return f"{minutes // 60} h"
    return f"{minutes} min" if not rest else f"{minutes}:{rest:02d}"


def _safe(text: str) -> str:
    """Escape a text; characters that XML 1.0 does not allow, or that reorder text, become U+FFFD."""
    kept = "".join(
        "\ufffd" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Cn") else char for char in text
    )
    return escape(kept, {'"': "&quot;"})


def _text(x: float, y: float, style: str, text: str, room: float, *, size: int = 12) -> str:
    shown = cut(text, room, size, bold=style == "head")
    more = f"<title>{_safe(text)}</title>" if shown != text else ""
    large = f' font-size="{size}"' if size != 12 else ""
    return f'<text class="{style}" x="{x:.0f}" y="{y}"{large}>{_safe(shown)}{more}</text>'


def _end(x: float, y: float, style: str, text: str) -> str:
    return f'<text class="{style}" x="{x:.0f}" y="{y}" text-anchor="end">{_safe(text)}</text>'
