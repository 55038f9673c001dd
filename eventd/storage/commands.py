"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, patience


def _storage(parser: Any) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME | VERB NAME",
        help="one volume, in full; or an operation on one: eject, attach, decommission, migrate, forget-data",
    )
    parser.add_argument(
        "--to", default="", metavar="OTHER", help="with migrate: the volume to move the data to"
    )
    parser.add_argument(
        "--abort", action="store_true", help="with migrate: cancel it; possible until the switch"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="request the operation and do not wait for its end"
    )
    patience(parser)


COMMANDS = (
    Command(
        "storage",
        "eventd.storage.commands_storage",
        "volumes: what is attached, what uses it, what a backup would contain",
        "List the volumes of storage.toml with their state and free space, attached file systems that are in no\n"
        "storage.toml, and for each workload the paths that a backup would contain, with sizes as far as measured\n"
        "(this command starts a measurement in the background). Exits with 1 if a volume is in a wrong state, and\n"
        "with 4 if a volume in use is not attached.\n"
        "eject: stop what uses the volume, unmount it, and say when its disk may be removed; it stays ejected, also\n"
        "after a reboot, until attach. decommission: the same for good, for a volume that nothing uses any more.\n"
        "migrate: stop what uses the volume, copy it to another, compare both byte by byte, and continue there under\n"
        "the same path; the old disk keeps its data. forget-data: delete that data, which takes a signed approval.",
        "  eventctl storage\n  eventctl storage media           one volume, in full\n"
        "  eventctl storage eject media     0: it is safe to remove the disk\n"
        "  eventctl storage migrate media --to big\n"
        "  eventctl storage attach media    mount it again, and start what was stopped\n"
        "  eventctl storage --json | jq .unknown\n",
        _storage,
        group=Group.DATA,
    ),
)
