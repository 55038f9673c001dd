"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group


def _retained(parser: Any) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of them, with its contents")


def _remove(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="a workload that is no longer in the repository")
    parser.add_argument(
        "--data", required=True, choices=("keep", "delete"), help="what to do with its account and data"
    )


COMMANDS = (
    Command(
        "retained",
        "eventd.removal.commands_retained",
        "accounts and data of workloads that are no longer in the repository",
        "List what removed workloads left behind: their units and files are gone; account and data are kept until\n"
        'remove.data = "delete" (or eventctl remove) and a signed approval.',
        "  eventctl retained\n  eventctl retained photos    with the contents of its home\n",
        _retained,
        group=Group.DATA,
    ),
    Command(
        "remove",
        "eventd.removal.commands_remove",
        "delete or keep the data of a removed workload",
        "Decide what happens to the account and data of a workload that is no longer in the repository, whatever\n"
        "its workload.toml said. A deletion is held until an operator signs it: eventctl approvals.",
        "  eventctl remove photos --data delete\n  eventctl remove photos --data keep\n",
        _remove,
        group=Group.DATA,
    ),
)
