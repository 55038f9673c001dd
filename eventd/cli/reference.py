"""`python -m eventd.cli.reference`: docs/reference/cli.md, made from the parser; a test keeps them in step.

It reads the parser's actions and not its `--help`, whose layout differs between versions of Python.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from eventd.cli import parser
from eventd.cli.codes import EPILOG
from eventd.cli.commands import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Iterator

_INTRODUCTION = """\
# eventctl

<!-- Made by `python -m eventd.cli.reference`; a test fails when it is out of date. -->

`eventctl` talks to the daemon over its unix socket, and checks repositories without one. It prints tables and
sentences for people, and with `--json` the documents of the [API](api.md) for programs. Colours, wrapping
and truncation are for a terminal only; NO_COLOR and TERM=dumb are respected. Control characters in text
from workloads, journals and repositories are removed or made visible before they are printed.

## Exit codes

| code | meaning |
|---|---|
"""

_MORE = """\
| 130 | interrupted by Ctrl-C |

States and codes: `converged`, `removed`, `ok` and `unchanged` are 0; `held` and `at-risk` are 4; every other
state, also one that this version does not know, is 1. `sync` without `--wait` is 0 once the daemon has
accepted the request. `plan` is 0 when there is nothing to do, as diff(1). A request that the daemon refuses
to this account is 3. A stream that the daemon closes before the run ends is 1.

With `--json`, an error is printed as `{"error": {"reason", "message", "hint"}}` on stdout, and as a
sentence on stderr.
"""


def lines() -> Iterator[str]:
    """Yield the document's lines."""
    built = parser.build()
    yield from _INTRODUCTION.splitlines()
    for line in EPILOG.splitlines()[1:]:
        code, _, meaning = line.strip().partition("  ")
        yield f"| {code} | {meaning} |"
    yield from _MORE.splitlines()
    yield from ("", "## Options of every command", "", "They may be given before or after the command.", "")
    yield from _table(each for each in built._actions if each.option_strings)  # noqa: SLF001
    subparsers: Any = next(
        each
        for each in built._actions  # noqa: SLF001
        if isinstance(each, argparse._SubParsersAction)  # noqa: SLF001
    )
    common = {option for each in built._actions for option in each.option_strings}  # noqa: SLF001
    for command in COMMANDS:
        actions = [
            each
            for each in subparsers.choices[command.name]._actions  # noqa: SLF001
            if not common.intersection(each.option_strings)
        ]
        yield from ("", f"## eventctl {command.name}", "")
        yield from command.description.splitlines()
        if actions:
            yield ""
            yield from _table(actions)
        yield from ("", "```sh", *(each.removeprefix("  ") for each in command.examples.splitlines()), "```")


def _table(actions: Any) -> Iterator[str]:
    yield "| argument | meaning |"
    yield "|---|---|"
    for action in actions:
        value = f" {action.metavar}" if action.metavar and action.option_strings else ""
        name = ", ".join(f"`{option}{value}`" for option in action.option_strings)
        if not name:
            name = f"`[{action.metavar}]`" if action.nargs == "?" else f"`{action.metavar}`"
        meaning = (action.help or "") % {"default": action.default, "prog": "eventctl"}
        yield f"| {name} | {meaning.replace('|', '&#124;')} |"


if __name__ == "__main__":
    print("\n".join(lines()))
