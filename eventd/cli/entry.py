"""Run one command: parse, import its module, and turn its outcome into an exit code.

This is the only place that prints an error and chooses a code for it. Ctrl-C and a closed pipe end quietly.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from eventd import domains
from eventd.cli import codes, commands, parser

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventd.cli.commands.command import Command
    from eventd.cli.terminal import Terminal
    from eventd.kernel.model.errors import EventdError

FORBIDDEN = "forbidden"
"""The reason when this account lacks the rights, from the daemon and from commands that need none."""


def main(argv: Sequence[str] | None = None, names: Sequence[str] = domains.NAMES) -> int:
    """Run `eventctl` with `argv` (default: the process's) and the commands of these domains; return its exit code."""
    try:
        return _main(argv, commands.COMMANDS if names is domains.NAMES else commands.load(names))
    except KeyboardInterrupt:
        return codes.INTERRUPTED
    except BrokenPipeError:
        # `eventctl events | head` is not an error. What is still buffered has nowhere to go, and the
        # interpreter's flush at exit would complain, so stdout is pointed elsewhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())
        return codes.AS_WANTED


def _main(argv: Sequence[str] | None, declared: Sequence[Command]) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    known = parser.build(commands=declared)
    try:
        parsed = parser.parse(arguments, known, declared)
        if parsed.command is None:
            known.print_help(sys.stderr)
            return codes.USAGE
    except SystemExit as exit_:  # argparse ends --help, --version and mistakes this way
        if isinstance(exit_, parser.MistakeError) and "--json" in arguments:
            import json  # noqa: PLC0415

            print(json.dumps(_report(exit_), indent=2))
        sys.stdout.flush()
        return exit_.code if isinstance(exit_.code, int) else codes.USAGE

    from eventd.cli.terminal import Terminal  # noqa: PLC0415

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a LANG=C terminal gets \u2026, not a traceback
            stream.reconfigure(errors="backslashreplace")
    terminal = Terminal(colour=False if parsed.no_color else None)
    code = run(parsed, terminal, declared)
    terminal.out.flush()
    return code


def run(arguments: Any, terminal: Terminal, declared: Sequence[Command] = commands.COMMANDS) -> int:
    """Run the command of parsed arguments and return its exit code."""
    from importlib import import_module  # noqa: PLC0415

    from eventd.kernel.model.errors import EventdError  # noqa: PLC0415

    command = next(each for each in declared if each.name == arguments.command)
    try:
        code: int = import_module(command.module).run(arguments, terminal)
    except EventdError as error:
        return fail(error, arguments, terminal)
    else:
        return code


def fail(error: EventdError, arguments: Any, terminal: Terminal) -> int:
    """Print the error: message and hint on stderr; with --json, also an object on stdout."""
    from eventd.cli.text import clean, clean_lines  # noqa: PLC0415
    from eventd.client import DEFAULT_SOCKET, DaemonError, NoDaemonError  # noqa: PLC0415

    if error.reason == NoDaemonError.reason and f" {DEFAULT_SOCKET} " in f"{error.message} ":
        from eventd.cli import no_daemon  # noqa: PLC0415

        error.hint = no_daemon.hint() or error.hint
    if arguments.json:
        report = _report(error)
        streams = getattr(arguments, "follow", False) or getattr(arguments, "wait", False)
        (terminal.ndjson if streams else terminal.json)(report)
    terminal.notice(f"eventctl: {clean_lines(error.message)}")
    if error.hint:
        terminal.notice(f"hint: {clean(error.hint)}")
    if error.reason == "usage" and not isinstance(error, DaemonError):
        return codes.USAGE
    unasked = error.reason == FORBIDDEN or isinstance(error, NoDaemonError)
    return codes.NO_DAEMON if unasked else codes.NOT_CONVERGED


def _report(error: EventdError | parser.MistakeError) -> dict[str, dict[str, str]]:
    """Return the JSON object of an error."""
    return {"error": {"reason": error.reason, "message": error.message, "hint": error.hint}}
