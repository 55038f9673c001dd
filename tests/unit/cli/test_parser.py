"""Scope: what the parser says of a mistake, and what its help says of commands."""

from __future__ import annotations

import pytest

from eventd.cli import parser
from eventd.cli.commands import COMMANDS


@pytest.mark.parametrize(
    ("argv", "help_"),
    [
        (["status", "web", "feeds"], "eventctl status --help"),
        (["status", "--bogus"], "eventctl status --help"),
        (["--bogus"], "eventctl --help"),
    ],
)
def test_a_mistake_in_a_command_leads_to_the_help_of_that_command(argv: list[str], help_: str) -> None:
    """An argument too many is answered with the help that lists those that there are."""
    with pytest.raises(parser.MistakeError) as caught:
        parser.parse(argv)
    assert caught.value.hint == help_


def test_the_help_names_each_command_that_needs_no_daemon() -> None:
    """What a command's own help says of the daemon, the list says too."""
    listed = parser.build().description or ""
    alone = [each.name for each in COMMANDS if "needs no daemon" in each.description.lower()]
    alone += [each.name for each in COMMANDS if "needs neither" in each.description.lower()]
    assert len(alone) > 6
    assert not [name for name in alone if f" {name}," not in listed and f" {name} " not in listed]
