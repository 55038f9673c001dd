"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group


def _gates(parser: Any) -> None:
    parser.add_argument(
        "--units",
        action="append",
        default=[],
        metavar="DIR",
        help="check a folder of unit files and its waits.toml, without a daemon; an earlier DIR takes precedence",
    )
    parser.add_argument(
        "--svg", default="", metavar="FILE", help="write the graph as a picture (- for stdout)"
    )


COMMANDS = (
    Command(
        "gates",
        "eventd.waits.commands_gates",
        "who waits for whom, and which waits can never end",
        "Show the gates of all workloads and what each of them waits for. With --units, check plain unit files\n"
        "instead for circular waits; waits.toml beside them says what the scripts of units wait for.\n"
        "Then 0 is clean, 1 circular, 2 a mistake in waits.toml or no such folder.",
        "  eventctl gates                                  this host's gates\n"
        "  eventctl gates --svg gates.svg                  as a picture\n"
        "  eventctl gates --units ./units                  check other people's deploys, without a daemon\n"
        "  eventctl gates --units /etc/systemd/system --units /usr/lib/systemd/system\n",
        _gates,
        group=Group.SHOW,
    ),
)
