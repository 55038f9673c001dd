"""What `eventctl` has of this domain: declarations, which import nothing that takes time."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, patience


def _storage(parser: Any) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME | VERB NAME",
        help="one volume, in full; or what is to be done with one: eject, attach, decommission, migrate, forget-data",
    )
    parser.add_argument(
        "--to", default="", metavar="OTHER", help="with migrate: the volume that it is moved to"
    )
    parser.add_argument(
        "--abort", action="store_true", help="with migrate: take it back; possible until the switch"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="do not wait for what is done to be over: only ask for it"
    )
    patience(parser)


COMMANDS = (
    Command(
        "storage",
        "eventd.storage.commands_storage",
        "volumes: what is attached, what uses it, what a backup would contain",
        "List the volumes of storage.toml with their state and free space, the file systems that are attached and\n"
        "in no storage.toml, and for each workload the places that a backup would contain, with sizes as far as\n"
        "measured (asking has them measured in the background). Exits with 1 if a volume is in a wrong state, and\n"
        "with 4 if one that is used is not attached.\n"
        "eject: stop what uses the volume, unmount it, and say when its disk may be removed; it stays so, also over a\n"
        "reboot, until attach. decommission: the same for good, for a volume that nothing uses any more.\n"
        "migrate: stop what uses the volume, copy it to another, compare both byte by byte, and go on there under the\n"
        "same path; the old disk keeps what is on it. forget-data: have that deleted, which takes a signed approval.",
        "  eventctl storage\n  eventctl storage media           one volume, in full\n"
        "  eventctl storage eject media     0: it is safe to remove the disk\n"
        "  eventctl storage migrate media --to big\n"
        "  eventctl storage attach media    mounted again, and what was stopped is started\n"
        "  eventctl storage --json | jq .unknown\n",
        _storage,
        group=Group.DATA,
    ),
)
