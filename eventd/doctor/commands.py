"""The commands of this domain: declarations only, which import nothing slow."""

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
        "check what this host lacks, and what to do about it",
        "Check that this host has what eventd needs. If the daemon runs, its own findings are included.",
        "  eventctl doctor\n  eventctl doctor --config ./eventd.toml\n",
        _doctor,
        group=Group.CHECK,
    ),
)
