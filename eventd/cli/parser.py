"""The parser: options of every command, `--version`, and messages for mistakes.

It imports argparse and, of eventd, only the declarations and the exit codes: `--help` has to answer at once.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from eventd.cli.codes import EPILOG, USAGE
from eventd.cli.commands import COMMANDS
from eventd.cli.commands.command import Group

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventd.cli.commands.command import Command

_DESCRIPTION = """\
Control eventd, the daemon that keeps this host in the state its git repository describes.

All commands but check, render, doctor, explain, logs, exec, shell, ps and gates --units talk to the daemon over its
socket."""

_COMMON = """\
every command takes --json, --socket PATH, --no-color and --help; `eventctl COMMAND --help` has examples.

"""


class _Version(argparse.Action):
    """`--version`, without importing importlib.metadata at start: it takes longer than everything else."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        del options
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, help="print the version")

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> NoReturn:
        """Print and exit."""
        del namespace, values, option_string
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

        try:
            text = version("eventd")
        except PackageNotFoundError:  # run from a checkout that is not installed
            text = "unknown (not installed)"
        print(f"eventctl {text}")
        parser.exit(0)


class MistakeError(SystemExit):
    """The command line is not valid; the message is already on stderr."""

    reason = "usage"

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(USAGE)
        self.message = message
        self.hint = hint


class _Parser(argparse.ArgumentParser):
    """An ArgumentParser that suggests the nearest command for a mistyped one (argparse does from Python 3.14 on)."""

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where help is, and exit."""
        import difflib  # noqa: PLC0415

        wrong = message.partition("invalid choice: ")[2].partition(" (")[0].strip("'\"")
        if wrong and message.startswith("argument COMMAND"):
            known = message.partition("(choose from ")[2].rstrip(")").replace("'", "").split(", ")
            message = f"unknown command {wrong!r}"
            near = difflib.get_close_matches(wrong, known, 1)
            if near:
                message += f"; did you mean {near[0]!r}?"
        hint = f"{self.prog} --help"
        self._print_message(f"{self.prog}: {message}\ntry `{hint}`\n", sys.stderr)
        raise MistakeError(message, hint)


def _globals(parser: argparse.ArgumentParser, *, top: bool) -> None:
    """Add the options allowed before and after the command; SUPPRESS keeps a value given before it."""
    group = parser.add_argument_group("options of every command") if not top else parser
    group.add_argument(
        "--socket",
        metavar="PATH",
        default="" if top else argparse.SUPPRESS,
        help="the daemon's socket (default: $EVENTD_SOCKET, then the best one this account may use)",
    )
    group.add_argument(
        "--json",
        action="store_true",
        default=False if top else argparse.SUPPRESS,
        help="answer in JSON, for programs",
    )
    group.add_argument(
        "--no-color",
        action="store_true",
        default=False if top else argparse.SUPPRESS,
        help="no colours on a terminal",
    )


def parse(
    arguments: Sequence[str],
    known: argparse.ArgumentParser | None = None,
    commands: Sequence[Command] = COMMANDS,
) -> argparse.Namespace:
    """Parse a command line; exits with USAGE.

    What follows the first `--` is a command line of its own, for a command that takes one. It is split off here: how
    argparse treats `--` differs between versions of Python.
    """
    before, own = list(arguments), None
    if "--" in before and any(command.name in before for command in commands if command.takes_words):
        at = before.index("--")
        before, own = before[:at], before[at + 1 :]
    parsed, left = (known or build(commands=commands)).parse_known_args(before)
    if left:  # parse_args would name the help of eventctl, and not that of the command
        parsed.mistake(f"unrecognized arguments: {' '.join(left)}")
    if own is not None:
        parsed.words = own
    return parsed


def build(program: str = "eventctl", commands: Sequence[Command] = COMMANDS) -> argparse.ArgumentParser:
    """Return the parser; `parse_args` gives a namespace with `command`, or exits with USAGE."""
    parser = _Parser(
        prog=program,
        usage=f"{program} [OPTION ...] COMMAND ...",
        description=_DESCRIPTION,
        epilog=_COMMON + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _globals(parser, top=True)
    parser.add_argument("--version", action=_Version)
    for group in Group:
        rows = [f"{each.name:<9}  {each.summary}" for each in commands if each.group is group]
        parser.add_argument_group(group, "\n".join(rows))
    # argparse would list the commands without headings.
    subparsers = parser.add_subparsers(
        dest="command", metavar="COMMAND", help=argparse.SUPPRESS, prog=program, parser_class=_Parser
    )
    for command in commands:
        each = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=command.description,
            epilog=f"examples:\n{command.examples}\n{EPILOG}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        command.arguments(each)
        _globals(each, top=False)
        each.set_defaults(mistake=each.error)
    parser.set_defaults(mistake=parser.error)
    return parser
