"""What `eventctl` has of this domain: declarations, which import nothing that takes time."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, commit, waits


def _rollback(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload that goes back")
    parser.add_argument(
        "--to",
        type=commit,
        metavar="COMMIT",
        help="a commit of the branch (default: the last verified content before the present one)",
    )
    waits(parser)


def _suspend(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for whoever asks")


def _resume(parser: Any) -> None:
    parser.add_argument(
        "workload", nargs="?", default="", metavar="WORKLOAD", help="this one (default: the whole host)"
    )
    waits(parser)


COMMANDS = (
    Command(
        "rollback",
        "eventd.overrides.commands_rollback",
        "have an earlier revision of a workload run",
        "Put a workload back to the last content before the present one that was verified on this host, or to\n"
        "what it was at a commit. It stays there until its files in the repository change, or until\n"
        "`eventctl resume WORKLOAD`. Root may roll back any workload, a workload itself.\n"
        "Without --wait, 0 means that the order is written.",
        "  eventctl rollback web --wait            0: the earlier revision is up and verified\n"
        "  eventctl rollback web --to 9f8e7d6c     as it was at that commit\n"
        "  eventctl resume web                     back to what the repository says\n",
        _rollback,
        group=Group.ACT,
    ),
    Command(
        "suspend",
        "eventd.overrides.commands_suspend",
        "leave a workload, or the whole host, as it is",
        "Nothing of it is changed, started, stopped or repaired until it is resumed, across restarts of the\n"
        "daemon and of the host. What happens is seen all the same; what would be done shows as held.\n"
        "Where no daemon runs, root's order is written down, and in force before the next one does anything.",
        "  eventctl suspend web --reason 'moving the database'\n"
        "  eventctl suspend                        everything\n",
        _suspend,
        group=Group.ACT,
    ),
    Command(
        "resume",
        "eventd.overrides.commands_resume",
        "end a suspension or a rollback, and converge",
        "End the suspension and the rollback of a workload, or, without one, the suspension of the host. What\n"
        "the repository says is brought about at once.",
        "  eventctl resume web --wait\n"
        "  eventctl resume                         ends `eventctl suspend`; what has its own stays so\n",
        _resume,
        group=Group.ACT,
    ),
)
