"""Log lines: their three forms, and what never gets into them."""

# ruff: noqa: TRY301, G003  what is logged badly on purpose

from __future__ import annotations

import base64
import io
import json
import logging
import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventd.platform.logging import JsonFormatter, Redactor, is_journal, setup

SECRET = 'hunter2"with/quotes+plus'


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(redactor: Redactor, write: object, **keywords: object) -> list[str]:
    stream = io.StringIO()
    handler = setup(redactor, stream=stream, environment={}, **keywords)  # type: ignore[arg-type]
    write(logging.getLogger("eventd.test"))  # type: ignore[operator]
    handler.flush()
    return stream.getvalue().splitlines()


def test_a_pipe_gets_json_with_fields():
    """One object per line, with the fields of `extra` and a traceback as `error`."""

    def write(log: logging.Logger) -> None:
        log.info("run %d", 7, extra={"workload": "web"})
        log.debug("not shown")
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("failed")

    first, second = (json.loads(line) for line in lines(Redactor(), write))
    assert (first["level"], first["message"], first["workload"]) == ("info", "run 7", "web")
    assert (first["logger"], isinstance(first["time"], float)) == ("eventd.test", True)
    assert "ValueError: no" in second["error"]


def test_the_journal_gets_priorities(tmp_path: Path):
    """When standard error is what JOURNAL_STREAM names, lines begin with their priority.

    That it is merely set does not count.
    """
    path = tmp_path / "stderr"
    with path.open("w") as stream:
        status = os.fstat(stream.fileno())
        environment = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        assert is_journal(stream, environment)
        assert not is_journal(stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert not is_journal(io.StringIO(), environment)
        setup(Redactor(), level="debug", stream=stream, environment=environment)
        log = logging.getLogger("eventd.test")
        for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
            log.log(level, "x")
    written = path.read_text().splitlines()
    assert [line[:3] for line in written] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
    assert "time" not in json.loads(written[0][3:])


def test_a_terminal_gets_text():
    """A person reads words and `key=value`, and no escape sequence that somebody put into a message."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream, os.fdopen(master, "rb", buffering=0) as terminal:
        setup(Redactor(), stream=stream, environment={})
        logging.getLogger("eventd.test").warning("red \x1b[31m", extra={"workload": "web"})
        stream.flush()
        text = terminal.read(4096).decode()
    assert "warning eventd.test: red ?[31m workload=web" in text


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        json.dumps(SECRET),
        "hunter2%22with%2Fquotes%2Bplus",
        base64.b64encode(SECRET.encode()).decode(),
    ],
)
def test_a_secret_never_gets_into_a_line(spelled: str):
    """Not in the message, an argument, a field, a key, or a traceback; not quoted, and not in base64."""
    redactor = Redactor()
    redactor.add(SECRET.encode() + b"\n")

    def write(log: logging.Logger) -> None:
        log.info("a " + spelled)
        log.info("a %s", spelled, extra={"field": {"deep": [spelled]}, "k" + spelled: 1})
        try:
            raise ValueError(spelled)
        except ValueError:
            log.exception("failed")

    written = "\n".join(lines(redactor, write))
    assert written.count("[redacted]") >= 5
    for part in (SECRET, "hunter2", base64.b64encode(SECRET.encode()).decode()[:12]):
        assert part not in written


def test_each_line_of_a_key_is_secret():
    """A private key that is printed line by line is redacted line by line."""
    redactor = Redactor()
    redactor.add("-----BEGIN KEY-----\nabcdefgh\nijklmnop\n-----END KEY-----\n")
    assert redactor.clean("x ijklmnop y abcdefgh") == "x [redacted] y [redacted]"


def test_short_values_are_not_searched_for():
    """A value of five characters would be found in words that are no secret."""
    redactor = Redactor()
    redactor.add("error")
    redactor.add("")
    assert redactor.clean("an error") == "an error"


def test_setup_again_replaces_the_handler():
    """A reload that changes the level leaves one handler, so that no line comes twice."""
    assert len(lines(Redactor(), lambda log: log.info("once"))) == 1
    assert lines(Redactor(), lambda log: log.info("not at this level"), level="warning") == []
    formatters = [type(h.formatter) for h in logging.getLogger().handlers]
    assert formatters.count(JsonFormatter) == 1
