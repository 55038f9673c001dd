"""Names, arguments and help texts of the commands. Declarations only: they import nothing slow.

A new command is an entry in `eventd/<domain>/commands.py`, and a module that it names, its domain's
`commands_*.py`, with `run(arguments, terminal) -> int`. Next: `parser.build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventd import domains

if TYPE_CHECKING:
    from collections.abc import Iterable

    from eventd.cli.commands.command import Command


def load(names: Iterable[str] = domains.NAMES) -> tuple[Command, ...]:
    """Return the commands of these domains, in their order."""
    return tuple(command for module in domains.modules("commands", names) for command in module.COMMANDS)


COMMANDS = load()
"""The commands of this eventd."""
