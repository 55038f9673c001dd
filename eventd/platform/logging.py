"""Structured log lines on standard error: JSON for the journal and for pipes, plain text for a terminal.

Owns the root logger's handler and the list of secret values. Other modules use `logging.getLogger(__name__)`; what they
pass in `extra={"workload": …}` becomes a field.

Under systemd each line begins with `<N>`, the syslog priority of sd-daemon(3), which the journal removes. Redaction
works on the finished text, so that no message, argument, traceback or field bypasses it.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, TextIO

REDACTED = "[redacted]"
_SHORTEST = 6
"""Characters. A shorter value occurs inside ordinary words, and its redaction would reveal it."""

_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (0, 7))
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Redactor:
    """Replaces registered secret values in text that leaves the process."""

    def __init__(self) -> None:
        self._needles: tuple[str, ...] = ()

    def add(self, secret: str | bytes) -> None:
        """Register a value: each of its lines, as it is and as written in JSON, in a URL and in base64.

        Values of fewer than 6 characters are not registered.
        """
        text = secret.decode("utf-8", "replace") if isinstance(secret, bytes) else secret
        found = set(self._needles)
        for value in {text.strip(), *(line.strip() for line in text.splitlines())}:
            if len(value) >= _SHORTEST:
                found |= {value, json.dumps(value)[1:-1], urllib.parse.quote(value, safe="")}
                found.add(base64.b64encode(value.encode()).decode().rstrip("="))
        # The longest first: a part of a secret, replaced first, would leave the rest of it.
        self._needles = tuple(sorted(found, key=len, reverse=True))

    def clean(self, text: str) -> str:
        """Return `text` without any registered value."""
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, REDACTED)
        return text


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `level`, `message`, `logger`, the fields of `extra`, and `error` (a traceback)."""

    def __init__(self, redactor: Redactor, *, journal: bool) -> None:
        super().__init__()
        self._redactor = redactor
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; for the journal with a priority and without a time, which the journal has."""
        fields: dict[str, Any] = {"level": record.levelname.lower(), "message": record.getMessage()}
        if not self._journal:
            fields["time"] = round(record.created, 3)
        fields["logger"] = record.name
        fields.update(_extra(record))
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        # Escaped to ASCII, so that a line has no control characters and no broken surrogates. Cleaned before, since
        # escaping an escaped secret again would hide it from `clean`; and again as a whole.
        line = self._redactor.clean(json.dumps(_cleaned(fields, self._redactor)))
        return f"<{_priority(record.levelno)}>{line}" if self._journal else line


class HumanFormatter(logging.Formatter):
    """`12:34:56 warning eventd.git: message key=value`, for a terminal."""

    def __init__(self, redactor: Redactor) -> None:
        super().__init__()
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the traceback if there is one."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {key}={value}" for key, value in _extra(record).items())
        line = f"{clock} {record.levelname.lower()} {record.name}: {record.getMessage()}{fields}"
        line = "".join(c if c.isprintable() else "?" for c in line)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return self._redactor.clean(line)


def setup(
    redactor: Redactor,
    *,
    level: str = "info",
    stream: TextIO | None = None,
    environment: Mapping[str, str] = os.environ,
) -> logging.Handler:
    """Send all logging to `stream` (default: standard error) in the format that suits it; return the handler.

    Replaces the handler of an earlier call. Raises ValueError for an unknown level.
    """
    target = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    if is_journal(target, environment):
        handler.setFormatter(JsonFormatter(redactor, journal=True))
    elif target.isatty():
        handler.setFormatter(HumanFormatter(redactor))
    else:
        handler.setFormatter(JsonFormatter(redactor, journal=False))
    root = logging.getLogger()
    root.setLevel(level.upper())
    for old in tuple(root.handlers):
        if isinstance(old.formatter, JsonFormatter | HumanFormatter):
            root.removeHandler(old)
    root.addHandler(handler)
    return handler


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return whether `stream` is the journal's: JOURNAL_STREAM names its device and inode (systemd.exec(5))."""
    device, _, inode = environment.get("JOURNAL_STREAM", "").partition(":")
    try:
        status = os.fstat(stream.fileno())
    except OSError:
        # Not a file at all (io.UnsupportedOperation is an OSError).
        return False
    return (device, inode) == (str(status.st_dev), str(status.st_ino))


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _cleaned(value: Any, redactor: Redactor) -> Any:
    match value:
        case str():
            return redactor.clean(value)
        case dict():
            return {redactor.clean(str(key)): _cleaned(below, redactor) for key, below in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_cleaned(below, redactor) for below in value]
        case None | bool() | int() | float():
            return value
        case _:
            return redactor.clean(str(value))


def _priority(level: int) -> int:
    return next(priority for lowest, priority in _PRIORITIES if level >= lowest)
