"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, commit, waits


def _rollback(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload to roll back")
    parser.add_argument(
        "--to",
        type=commit,
        metavar="COMMIT",
        help="a commit of the branch (default: the last verified revision before the current one)",
    )
    waits(parser)


def _suspend(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")
    parser.add_argument("--reason", default="", metavar="TEXT", help="the reason, shown in status")


def _resume(parser: Any) -> None:
    parser.add_argument(
        "workload", nargs="?", default="", metavar="WORKLOAD", help="this one (default: the whole host)"
    )
    waits(parser)


COMMANDS = (
    Command(
        "rollback",
        "eventd.overrides.commands_rollback",
        "run an earlier revision of a workload",
        "Roll a workload back to the last revision before the current one that was verified on this host, or to\n"
        "a given commit. It stays there until its files in the repository change, or until\n"
        "`eventctl resume WORKLOAD`. Root may roll back any workload; a workload may roll back itself.\n"
        "Without --wait, 0 means that the rollback is recorded.",
        "  eventctl rollback web --wait            0: the earlier revision is up and verified\n"
        "  eventctl rollback web --to 9f8e7d6c     as it was at that commit\n"
        "  eventctl resume web                     back to what the repository says\n",
        _rollback,
        group=Group.ACT,
    ),
    Command(
        "suspend",
        "eventd.overrides.commands_suspend",
        "stop changing a workload, or the whole host",
        "Nothing of it is changed, started, stopped or repaired until it is resumed, across restarts of the\n"
        "daemon and of the host. Events are still seen; what would be done is shown as held. If the daemon\n"
        "does not run, root's suspension is written to a file that the daemon reads first when it starts.",
        "  eventctl suspend web --reason 'moving the database'\n"
        "  eventctl suspend                        everything\n",
        _suspend,
        group=Group.ACT,
    ),
    Command(
        "resume",
        "eventd.overrides.commands_resume",
        "end a suspension or a rollback, and converge",
        "End the suspension and the rollback of a workload or, without one, the suspension of the host. A run\n"
        "then applies what the repository says at once.",
        "  eventctl resume web --wait\n"
        "  eventctl resume                         ends `eventctl suspend` of the host only\n",
        _resume,
        group=Group.ACT,
    ),
)
