"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, patience, seconds, wait


def _images(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")
    patience(parser, default=120.0)  # it asks the podman of every user


def _update(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")
    parser.add_argument(
        "--check", action="store_true", help="only ask the registries whether there is a newer image"
    )
    parser.add_argument(
        "--retry", action="store_true", help="also retry an image that the last update rolled back"
    )
    parser.add_argument(
        "--when-up",
        type=seconds,
        default=0.0,
        metavar="SECONDS",
        help="wait up to this long for the daemon to start, as after a boot (default: do not wait)",
    )
    wait(parser)
    patience(parser)


COMMANDS = (
    Command(
        "images",
        "eventd.updates.commands_images",
        "the images that containers run, and what the last update did",
        "List the image of each container: the reference as written, and the id of the image that runs.",
        "  eventctl images\n  eventctl images web --json | jq -r '.workloads[].images[].digests[]'\n",
        _images,
        group=Group.SHOW,
    ),
    Command(
        "update",
        "eventd.updates.commands_update",
        "pull newer images, restart what changed, and verify it or roll it back",
        "Pull the images of one workload or of all, restart the containers whose image changed, and verify them.\n"
        "A workload that does not become healthy is rolled back to its previous image; the others go on, and the exit\n"
        "code is 1. An image that was rolled back is not tried again until the registry has another, or with --retry.\n"
        "With --check, 0: everything is up to date, 4: there is a newer image, 1: a registry did not answer.",
        "  eventctl update --wait                  everything that can be updated\n"
        "  eventctl update web --wait              0: the newest images run, and are verified\n"
        "  eventctl update --check                 pulls nothing\n",
        _update,
        group=Group.ACT,
    ),
)
