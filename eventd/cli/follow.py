"""Show the progress of a run that a request waits for: `sync --wait`, `restart --wait` and the like.

On a terminal each workload has one line, rewritten as its steps begin and end; in a pipe each finished step is a
line. The daemon's stream drives the display: nothing here polls or reads a clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.terminal import Block
from eventd.cli.text import clean, duration, short
from eventd.kernel.model.errors import DisconnectedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal
    from eventd.client import Client

_HINT = "`eventctl status` shows the outcome"


def watch(client: Client, path: str, body: Mapping[str, Any], arguments: Any, terminal: Terminal) -> int:
    """POST, show the progress and return the run's exit code. Uses --json and --timeout of `arguments`."""
    with client.stream("POST", path, body=body, idle=arguments.timeout) as stream:
        progress = _Silent() if arguments.json else _Live(terminal) if terminal.live else _Lines(terminal)
        for message in stream:
            if arguments.json:
                terminal.ndjson(message)
            match message.get("type"):
                case "queued":
                    progress.queued()
                case "waiting":
                    progress.waiting(message)
                case "run":
                    progress.run(message)
                case "progress":
                    progress.step(message)
                case "done":
                    done: Json = message.get("run") or {}
                    if not arguments.json:
                        if earlier := message.get("applied"):
                            terminal.line(f"applied by {show.run_line(terminal, earlier)}")
                            show.run_workloads(terminal, earlier)
                        terminal.line(show.run_line(terminal, done))
                        show.run_workloads(terminal, done)
                    return codes.of_state(str(done.get("result", "")))
                case "error":
                    raise DisconnectedError(
                        clean(message.get("message", "")),
                        reason=clean(message.get("reason", "error")),
                        hint=_HINT,
                    )
                case _:
                    pass  # a newer daemon may send messages that this client does not know
    raise DisconnectedError(
        "the daemon closed the stream before the run ended",
        hint=_HINT,
    )


class _Silent:
    """For --json: the messages themselves are the output."""

    def queued(self) -> None:
        """Show that the request was accepted."""

    def waiting(self, message: Json) -> None:
        """Show what the run waits for."""

    def run(self, message: Json) -> None:
        """Show which run serves the request."""

    def step(self, message: Json) -> None:
        """Show a step of a workload."""


class _Lines(_Silent):
    """For a pipe: one line per finished step."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def queued(self) -> None:
        self._write("queued")

    def waiting(self, message: Json) -> None:
        self._write(_waiting(message))

    def run(self, message: Json) -> None:
        self._write(_run(message))

    def step(self, message: Json) -> None:
        if message.get("state") != "begin":
            self._write(f"{clean(message.get('workload', ''))}: {_ended(message)}")

    def _write(self, text: str) -> None:
        self._terminal.line(text)
        self._terminal.out.flush()


class _Live(_Silent):
    """For a terminal: one line per workload, rewritten in place. Where rows are short, the busy ones are shown."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._block = Block(terminal)
        self._head = "queued"
        self._steps: dict[str, tuple[str, str]] = {}

    def queued(self) -> None:
        self._show()

    def waiting(self, message: Json) -> None:
        self._head = f"queued: {_waiting(message)}"
        self._show()

    def run(self, message: Json) -> None:
        self._head = _run(message)
        self._show()

    def step(self, message: Json) -> None:
        name = clean(message.get("workload", ""))
        match message.get("state"):
            case "begin":
                self._steps[name] = "running", f"{clean(message.get('step', ''))} …"
            case "failed":
                self._steps[name] = "failed", _ended(message)
            case _:
                self._steps[name] = "", _ended(message)
        self._show()

    def _show(self) -> None:
        room = max(1, self._terminal.rows - 3)
        names = sorted(self._steps)
        if len(names) > room:
            loud = [name for name in names if self._steps[name][0]]
            names = (loud or names)[: room - 1]
        wide = max((len(name) for name in names), default=0)
        lines = [("", self._head)]
        lines += [(self._steps[n][0], f"  {n:<{wide}}  {self._steps[n][1]}") for n in names]
        if len(names) < len(self._steps):
            lines.append(("", f"  and {len(self._steps) - len(names)} more"))
        self._block.show(lines)


def _waiting(message: Json) -> str:
    hint = f" ({clean(message['hint'])})" if message.get("hint") else ""
    return f"waiting: {clean(message.get('message', ''))}{hint}"


def _run(message: Json) -> str:
    commit = f" at {short(message['commit'])}" if message.get("commit") else ""
    return f"run {clean(message.get('id', ''))}{commit}"


def _ended(message: Json) -> str:
    seconds = message.get("seconds")
    time = f" ({duration(seconds)})" if isinstance(seconds, int | float) else ""
    said = f": {clean(message['message'])}" if message.get("message") else ""
    word = "FAILED " if message.get("state") == "failed" else ""
    return f"{word}{clean(message.get('step', ''))}{time}{said}"
