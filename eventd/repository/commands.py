"""What `eventctl` has of this domain: declarations, which import nothing that takes time."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, full_commit, waits


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


COMMANDS = (
    Command(
        "sync",
        "eventd.repository.commands_sync",
        "fetch, and bring the host to what the repository says",
        "Ask for a run. If one is on already, this request joins it or the one that follows.\n"
        "Without --wait, 0 means that the request was taken.",
        "  eventctl sync                   ask, and do not wait\n"
        "  eventctl sync --wait            watch it; 0: all well, 1: a failure, 4: something waits\n"
        "  eventctl sync --no-fetch        repair drift only\n"
        "  eventctl sync --allow-rewrite 9f8e7d6c…   after a force-push that you know of (full id)\n",
        _sync,
        group=Group.ACT,
    ),
)
