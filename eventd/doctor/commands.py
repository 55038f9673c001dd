"""What `eventctl` has of this domain: declarations, which import nothing that takes time."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group


def _doctor(parser: Any) -> None:
    parser.add_argument(
        "--config",
        default="",
        metavar="FILE",
        help="the configuration to check (default: /etc/eventd/eventd.toml)",
    )


COMMANDS = (
    Command(
        "doctor",
        "eventd.doctor.commands_doctor",
        "what this host lacks, and what to do about it",
        "Look whether this host has what eventd needs, and ask the daemon for what it found, if it runs.",
        "  eventctl doctor\n  eventctl doctor --config ./eventd.toml\n",
        _doctor,
        group=Group.CHECK,
    ),
)
