"""What `eventctl` has of this domain."""

from __future__ import annotations

from eventd.cli.commands.command import Command, Group, no_options

COMMANDS = (
    Command(
        "barrier",
        "tests.toy.commands_barrier",
        "how the sea and the barrier are",
        "Show how high the sea is, and whether the barrier is closed.",
        "  eventctl barrier\n",
        no_options,
        group=Group.SHOW,
    ),
)
