"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group


def _state(parser: Any) -> None:
    parser.add_argument(
        "--acknowledge",
        action="store_true",
        help="acknowledge the losses: status no longer shows them",
    )


COMMANDS = (
    Command(
        "state",
        "eventd.state.commands_state",
        "what was recovered after a crash, or lost with a state file",
        "Show the steps that the previous daemon process left unfinished and how each was settled, and whether a\n"
        "damaged state file was set aside: what is still managed, and what is left alone until it is adopted.",
        "  eventctl state\n  eventctl state --acknowledge    status no longer shows the loss\n",
        _state,
        group=Group.CHECK,
    ),
)
