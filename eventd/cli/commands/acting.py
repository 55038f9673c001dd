"""Commands that have the daemon do something."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, commit, full_commit, patience, seconds, wait, waits


def _sync(parser: Any) -> None:
    waits(parser)
    parser.add_argument(
        "--no-fetch", action="store_true", help="repair towards the revision at hand; ask no remote"
    )
    parser.add_argument(
        "--allow-rewrite",
        type=full_commit,
        metavar="COMMIT",
        help="accept that the branch was rewritten (force-pushed), if it now points to exactly COMMIT",
    )


def _restart(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload whose units are restarted")
    waits(parser)


def _update(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")
    parser.add_argument(
        "--check", action="store_true", help="only ask the registries whether there is anything newer"
    )
    parser.add_argument(
        "--retry", action="store_true", help="take an image, too, that the last update went back from"
    )
    parser.add_argument(
        "--when-up",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="wait so long for the daemon to be up, as after a boot (default: not at all)",
    )
    wait(parser)
    patience(parser)


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


def _adopt(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="the account, and the workload that gets it")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--with-login",
        action="store_true",
        help="also if a person can log in with it (a password, ssh keys, a home that cannot be looked into)",
    )
    parser.add_argument(
        "--move-aside",
        action="store_true",
        help="stop its own units and move their files, and its Quadlet files, into a dated folder of its home",
    )
    patience(parser)


def _disown(parser: Any) -> None:
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="the account")
    parser.add_argument(
        "--all", action="store_true", help="every account of eventd's, as before it is removed"
    )


ACTING = (
    Command(
        "sync",
        "eventd.repository.commands",
        "fetch, and bring the host to what the repository says",
        "Ask for a run. If one is on already, this request joins it or the one that follows.\n"
        "Without --wait, 0 means that the request was taken.",
        "  eventctl sync                   ask, and do not wait\n"
        "  eventctl sync --wait            watch it; 0: all well, 1: a failure, 4: something waits\n"
        "  eventctl sync --no-fetch        repair drift only\n"
        "  eventctl sync --allow-rewrite 9f8e7d6c…   after a force-push that you know of (full id)\n",
        _sync,
    ),
    Command(
        "restart",
        "eventd.workloads.commands_restart",
        "restart what runs of a workload, and verify it",
        "Ask for a run in which the units of a workload are restarted, one after the other in their order,\n"
        "and verified as after a push. Root may restart any workload, a workload itself.\n"
        "Without --wait, 0 means that the request was taken.",
        "  eventctl restart web\n  eventctl restart web --wait     0: it is up again and healthy\n",
        _restart,
    ),
    Command(
        "update",
        "eventd.updates.commands_update",
        "pull newer images, restart what changed, verify it, or go back",
        "Pull the images of a workload, or of all, restart the containers whose image changed, and verify them. What\n"
        "does not come up healthy goes back to the image that ran before; the others go on, and the exit code is 1.\n"
        "An image that was gone back from is not taken again until the registry has another, or with --retry.\n"
        "With --check, 0: everything is up to date, 4: there is something newer, 1: a registry could not be asked.",
        "  eventctl update --wait                  everything that can be updated\n"
        "  eventctl update web --wait              0: the newest images run, and are verified\n"
        "  eventctl update --check                 pulls nothing\n",
        _update,
    ),
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
    ),
    Command(
        "adopt",
        "eventd.adoption.commands_adopt",
        "hand an account that is there already over to eventd",
        "Say what it means that eventd runs a workload with an account that somebody made, ask, and do it:\n"
        "the account is written down as adopted, and the workload is deployed. Accounts that eventd makes\n"
        "need none of this. Refused for root, system and protected accounts, and while somebody is logged in.",
        "  eventctl adopt media                 says what it means, and asks\n"
        "  eventctl adopt media --yes           for scripts; 0: the workload is up\n"
        "  eventctl adopt anna --with-login     of a person, who keeps password and ssh keys\n"
        "  eventctl adopt media --move-aside    its own Quadlet files and units would be in the way\n",
        _adopt,
    ),
    Command(
        "disown",
        "eventd.adoption.commands_disown",
        "give an account back: eventd leaves it alone from now on",
        "Forget that an account, its files and its units are eventd's. Everything stays and goes on running, and what\n"
        "ran starts at boot by the account's own manager, without gates; eventd neither changes nor removes it any\n"
        "more. A workload of that name is then refused.",
        "  eventctl disown media\n"
        "  eventctl disown --all           before eventd is removed; says what volumes need from then on\n",
        _disown,
    ),
)
