"""What the demo prints: steps, commands and proofs; coloured on a terminal, plain in a pipe."""

from __future__ import annotations

import os
import shlex
import sys
import time


class Screen:
    """Writes to stdout, in order with the programs that write there too."""

    def __init__(self) -> None:
        stream = sys.stdout
        self.live = stream.isatty() and os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
        encoding = (stream.encoding or "").lower().replace("-", "")
        self._tick, self._rule = ("✓", "─") if encoding == "utf8" else ("ok", "-")
        self._step = 0

    def line(self, text: str = "", *, style: str = "") -> None:
        """Write one line; styles are SGR parameters."""
        painted = f"\x1b[{style}m{text}\x1b[0m" if self.live and style else text
        try:
            print(painted, flush=True)
        except BrokenPipeError:  # the reader has gone; the exit status still counts
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def step(self, title: str, about: str = "") -> None:
        """Begin a step."""
        self._step += 1
        self.line()
        self.line(
            f"{self._rule * 2} {self._step}. {title} {self._rule * max(2, 68 - len(title))}", style="1;36"
        )
        if about:
            self.line(about, style="2")

    def command(self, *words: str) -> None:
        """Show the command that is run next."""
        self.line(f"$ {shlex.join(words)}", style="1")

    def output(self, text: str) -> None:
        """Write what a program said, indented."""
        for row in text.rstrip("\n").splitlines():
            self.line(f"  {row.rstrip()}")

    def event(self, event: dict[str, object]) -> None:
        """Write an event as it comes."""
        wall = float(str(event["wall"]))
        clock = time.strftime("%H:%M:%S", time.localtime(wall)) + f".{int(wall % 1 * 1000):03d}"
        subject, scope = str(event["subject"]), str(event["scope"])
        if event["kind"] == "revision":
            subject = subject[:12]
        if scope and scope != subject:
            subject = f"{scope}: {subject}"
        attributes = event["attributes"]
        shown = ("active", "sub", "branch", "delivery", "previous")
        rest = " ".join(
            f"{key}={str(value)[:12]}"
            for key, value in (attributes.items() if isinstance(attributes, dict) else ())
            if key in shown and value
        )
        self.line(
            f"  {clock}  {event['origin']!s:<12}  {event['kind']!s:<15}  {subject}  {rest}".rstrip(),
            style="2",
        )

    def proof(self, text: str) -> None:
        """Write what was verified."""
        self.line(f"{self._tick} {text}", style="32")

    def problem(self, text: str) -> None:
        """Write what went wrong."""
        self.line(text, style="1;31")
