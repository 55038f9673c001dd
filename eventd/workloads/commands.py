"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, waits


def _restart(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload to restart")
    waits(parser)


def _retained(parser: Any) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of them, with its contents")


def _remove(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="a workload that is no longer in the repository")
    parser.add_argument(
        "--data", required=True, choices=("keep", "delete"), help="what to do with its account and data"
    )


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
    Command(
        "retained",
        "eventd.workloads.commands_retained",
        "accounts and data of workloads that are no longer in the repository",
        "List what removed workloads left behind: their units and files are gone; account and data are kept until\n"
        'remove.data = "delete" (or eventctl remove) and a signed approval.',
        "  eventctl retained\n  eventctl retained photos    with the contents of its home\n",
        _retained,
        group=Group.DATA,
    ),
    Command(
        "remove",
        "eventd.workloads.commands_remove",
        "delete or keep the data of a removed workload",
        "Decide what happens to the account and data of a workload that is no longer in the repository, whatever\n"
        "its workload.toml said. A deletion is held until an operator signs it: eventctl approvals.",
        "  eventctl remove photos --data delete\n  eventctl remove photos --data keep\n",
        _remove,
        group=Group.DATA,
    ),
)
