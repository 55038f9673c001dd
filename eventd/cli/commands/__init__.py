"""What the commands are called and take, and what their help says. Declarations: they import nothing that takes time.

A new command is an entry in one of these modules, and the module that it names, its domain's `commands*.py`, with
`run(arguments, terminal) -> int`. Next: `parser.build`.
"""

from __future__ import annotations

from eventd.cli.commands.acting import ACTING
from eventd.cli.commands.checking import CHECKING
from eventd.cli.commands.data import DATA
from eventd.cli.commands.looking import LOOKING
from eventd.cli.commands.within import WITHIN

GROUPS = (
    ("see how things are", LOOKING),
    ("look into a workload, as its account", WITHIN),
    ("bring something about", ACTING),
    ("volumes, data, and what takes a signature", DATA),
    ("check a repository, or this host", CHECKING),
)
"""Heading in the help -> commands, in their order."""
COMMANDS = tuple(command for _, commands in GROUPS for command in commands)
