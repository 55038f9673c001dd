"""What `eventctl` has of this domain: declarations, which import nothing that takes time."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, patience, seconds, wait


def _images(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")
    patience(parser, default=120.0)  # it asks the podman of every user


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


COMMANDS = (
    Command(
        "images",
        "eventd.updates.commands_images",
        "the images that containers run, and what the last update did",
        "List the image of each container: what is written, and the id of what runs.",
        "  eventctl images\n  eventctl images web --json | jq -r '.workloads[].images[].digests[]'\n",
        _images,
        group=Group.LOOK,
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
        group=Group.ACT,
    ),
)
