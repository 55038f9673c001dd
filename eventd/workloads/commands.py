"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, waits


def _restart(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload to restart")
    waits(parser)


COMMANDS = (
    Command(
        "restart",
        "eventd.workloads.commands_restart",
        "restart the units of a workload, and verify them",
        "Request a run that restarts the units of a workload one by one, in their order, and verifies them\n"
        "as after a push. Root may restart any workload; a workload may restart itself.\n"
        "Without --wait, 0 means that the request was accepted.",
        "  eventctl restart web\n  eventctl restart web --wait     0: it is up again and healthy\n",
        _restart,
        group=Group.ACT,
    ),
)
