"""What `eventctl` has of this domain: declarations, which import nothing that takes time."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group


def _state(parser: Any) -> None:
    parser.add_argument(
        "--acknowledge",
        action="store_true",
        help="say that you know of the losses: status stops telling of them",
    )


COMMANDS = (
    Command(
        "state",
        "eventd.state.commands_state",
        "what was recovered after a crash, or lost with a state file",
        "Show which steps the daemon's last life left open and what was done with each, and whether a state file was\n"
        "damaged and set aside: what is still managed, and what is left alone until it is adopted.",
        "  eventctl state\n  eventctl state --acknowledge    status stops telling of a loss\n",
        _state,
        group=Group.CHECK,
    ),
)
