"""What `eventctl` has of this domain: declarations, which import nothing that takes time."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, waits


def _restart(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload whose units are restarted")
    waits(parser)


def _retained(parser: Any) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of them, with what it contains")


def _remove(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="a workload that left the repository")
    parser.add_argument(
        "--data", required=True, choices=("keep", "delete"), help="what becomes of its account and data"
    )


COMMANDS = (
    Command(
        "restart",
        "eventd.workloads.commands_restart",
        "restart what runs of a workload, and verify it",
        "Ask for a run in which the units of a workload are restarted, one after the other in their order,\n"
        "and verified as after a push. Root may restart any workload, a workload itself.\n"
        "Without --wait, 0 means that the request was taken.",
        "  eventctl restart web\n  eventctl restart web --wait     0: it is up again and healthy\n",
        _restart,
        group=Group.ACT,
    ),
    Command(
        "retained",
        "eventd.workloads.commands_retained",
        "accounts and data of workloads that left the repository",
        "List what workloads left behind: their units and files are gone, account and data are kept until\n"
        'remove.data = "delete" (or eventctl remove) and a signature.',
        "  eventctl retained\n  eventctl retained photos    with what is in its home\n",
        _retained,
        group=Group.DATA,
    ),
    Command(
        "remove",
        "eventd.workloads.commands_remove",
        "ask for the data of a workload that left to be deleted, or kept",
        "Say what becomes of the account and data of a workload that is no longer in the repository, whatever\n"
        "its workload.toml said. A deletion is held until somebody has signed for it: eventctl approvals.",
        "  eventctl remove photos --data delete\n  eventctl remove photos --data keep\n",
        _remove,
        group=Group.DATA,
    ),
)
