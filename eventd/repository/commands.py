"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, full_commit, waits


def _sync(parser: Any) -> None:
    waits(parser)
    parser.add_argument(
        "--no-fetch", action="store_true", help="do not fetch; repair drift from the active revision"
    )
    parser.add_argument(
        "--allow-rewrite",
        type=full_commit,
        metavar="COMMIT",
        help="accept a rewritten (force-pushed) branch, if it now points to exactly COMMIT",
    )


COMMANDS = (
    Command(
        "sync",
        "eventd.repository.commands_sync",
        "fetch, and make the host match the repository",
        "Request a run. If one is in progress, the request joins it or the next one.\n"
        "Without --wait, 0 means that the request was accepted.",
        "  eventctl sync                   request a run, and do not wait\n"
        "  eventctl sync --wait            watch it; 0: all well, 1: a failure, 4: something is held\n"
        "  eventctl sync --no-fetch        repair drift only\n"
        "  eventctl sync --allow-rewrite 9f8e7d6c…   after a force-push that you know of (full id)\n",
        _sync,
        group=Group.ACT,
    ),
)
