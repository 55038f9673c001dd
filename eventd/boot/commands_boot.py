"""`eventctl boot`: when each fact of this boot was observed, what workloads waited for, and where the time went."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventd.boot.model import seconds
from eventd.cli import codes, show
from eventd.cli.text import clean, cut, width
from eventd.client import Client, at
from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal

_BAR = 40
"""Columns of the chart in a pipe; on a terminal it uses the remaining width."""
_LABEL = 36
_MARKS = {"system": "─", "wait": "░", "prepare": "▒", "start": "▓", "verify": "█", "failed": "✗"}
_COLOURS = {"wait": "yellow", "prepare": "cyan", "start": "cyan", "verify": "green", "failed": "red"}
_LEGEND = "░ waits at a gate  ▒ is prepared  ▓ starts  █ is verified  ✗ failed  ◆ converged"


def run(arguments: Any, terminal: Terminal) -> int:
    """Show the boot; the exit code is its state."""
    client = Client(arguments.socket)
    if arguments.svg:
        picture = client.text("/v1/boot.svg")
        if arguments.svg == "-":
            terminal.out.write(picture)
            return codes.AS_WANTED
        _write(arguments.svg, picture)
    answer: Json = client.get(at("boot"))
    if arguments.json:
        terminal.json(answer)
    else:
        _text(terminal, answer)
    return codes.of_state(str(answer.get("state", "")))


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise PermanentError(
            f"cannot write {path}: {error.strerror or error}", reason="unwritable"
        ) from error


def _text(terminal: Terminal, boot: Json) -> None:
    terminal.paragraph(clean(boot.get("sentence", "")), style="bold")
    if boot.get("caveat"):
        terminal.paragraph(clean(boot["caveat"]), style="yellow")
    terminal.line()
    _Chart(terminal, boot).show()
    path = show.items(boot, "critical_path")
    if path:
        terminal.line()
        terminal.line(terminal.paint("critical path", "bold"))
    for hop in path:
        share = f"{100 * _number(hop.get('share')):3.0f} %"
        took = f"{seconds(_number(hop.get('seconds'))):>9}"
        lead = f"  {took} {share}  "
        strong = "bold" if _number(hop.get("share")) >= 0.25 else ""
        terminal.line(terminal.paint(lead + _fit(terminal, clean(hop.get("what", "")), width(lead)), strong))
    for each in show.items(boot, "workloads"):
        if each.get("waits_for"):
            waits = ", ".join(clean(text) for text in show.items(each, "waits_for"))
            terminal.paragraph(f"{clean(each.get('name', ''))} still waits for {waits}", style="yellow")


def _fit(terminal: Terminal, text: str, used: int) -> str:
    return text if terminal.columns is None else cut(text, max(8, terminal.columns - used))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


class _Chart:
    """Rows of blocks over the time from the origin to the end."""

    def __init__(self, terminal: Terminal, boot: Json) -> None:
        self._terminal = terminal
        self._boot = boot
        path = show.items(boot, "critical_path")
        end = boot.get("converged") or boot.get("until")
        self._end = max(_number(end), _number(path[-1].get("end")) if path else 0.0, 0.001)
        self._until = _number(boot.get("until"))
        labels = ["initial RAM disk", *(clean(each.get("text", "")) for each in show.items(boot, "facts"))]
        labels += [clean(each.get("name", "")) for each in show.items(boot, "workloads")]
        self._label = min(_LABEL, max(width(label) for label in labels))
        columns = terminal.columns
        self._wide = _BAR if columns is None else min(100, max(20, columns - self._label - 16))

    def show(self) -> None:
        """Write the chart."""
        end = seconds(self._end)
        scale = "0 s" + end.rjust(self._wide - 3)
        self._terminal.line(self._terminal.paint(f"  {'':{self._label}}  {'':>9}  {scale}", "dim"))
        for label, note, bars, mark in self._rows():
            name = cut(label, self._label)
            name += " " * (self._label - width(name))
            self._terminal.line(f"  {name}  {note:>9}  {self._bar(bars, mark)}".rstrip())
        self._terminal.line(self._terminal.paint(f"  {'':{self._label}}  {'':>9}  {_LEGEND}", "dim"))

    def _rows(self) -> list[tuple[str, str, list[tuple[str, float, float]], tuple[str, float] | None]]:
        rows: list[tuple[str, str, list[tuple[str, float, float]], tuple[str, float] | None]] = []
        boot, phases = self._boot, self._boot.get("phases") or {}
        userspace = _number(phases.get("userspace"))
        if boot.get("origin") == "kernel":
            initrd = phases.get("initrd")
            kernel = userspace if initrd is None else _number(initrd)
            rows.append(("kernel", seconds(kernel), [("system", 0.0, kernel)], None))
            if initrd is not None:
                rows.append(("initial RAM disk", seconds(userspace), [("system", kernel, userspace)], None))
        if boot.get("origin") != "daemon":
            finished = phases.get("finished")
            note = "" if finished is None else seconds(_number(finished))
            end = self._until if finished is None else _number(finished)
            rows.append(("systemd", note, [("system", userspace, end)], None))
        ready = boot.get("ready")
        end = self._until if ready is None else _number(ready)
        note = "" if ready is None else seconds(end)
        rows.append(("eventd", note, [("system", _number(boot.get("started")), end)], None))
        facts = show.items(boot, "facts")
        facts.sort(key=lambda fact: (fact.get("came") is None, _number(fact.get("came"))))
        for fact in facts:
            came, began = fact.get("came"), fact.get("began")
            bars = (
                [] if began is None else [("system", _number(began), self._until if came is None else came)]
            )
            before = (came is None and fact.get("early")) or (came is not None and came < 0)
            note = "before" if before else "not yet" if came is None else seconds(came)
            rows.append((clean(fact.get("text", "")), note, bars, None if came is None else ("┃", came)))
        workloads = show.items(boot, "workloads")
        workloads.sort(key=lambda each: (each.get("converged") is None, _number(each.get("converged"))))
        for each in workloads:
            done = each.get("converged")
            bars = [
                (
                    "failed" if span.get("failed") else str(span.get("kind")),
                    _number(span.get("begin")),
                    self._until if span.get("end") is None else _number(span.get("end")),
                )
                for span in sorted(show.items(each, "spans"), key=lambda span: span.get("kind") != "wait")
            ]
            note = clean(each.get("state", "")) if done is None else seconds(done)
            rows.append((clean(each.get("name", "")), note, bars, None if done is None else ("◆", done)))
        return rows

    def _bar(self, bars: list[tuple[str, float, float]], mark: tuple[str, float] | None) -> str:
        cells = [(" ", "")] * self._wide
        for kind, begin, end in bars:
            first, last = self._column(begin), self._column(end)
            if begin <= self._end and end >= 0:
                for column in range(first, last + 1):
                    cells[column] = _MARKS.get(kind, "─"), _COLOURS.get(kind, "dim")
        if mark is not None and 0 <= mark[1] <= self._end:
            cells[self._column(mark[1])] = mark[0], "green" if mark[0] == "◆" else ""
        text, run, colour = "", "", ""
        for char, style in (*cells, ("", "end")):
            if style != colour:
                text += self._terminal.paint(run, colour) if colour else run
                run, colour = "", style
            run += char
        return text

    def _column(self, time: float) -> int:
        return min(self._wide - 1, int(self._wide * min(max(time, 0.0), self._end) / self._end))
