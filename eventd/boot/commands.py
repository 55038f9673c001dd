"""What `eventctl` has of this domain: declarations, which import nothing that takes time."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group


def _boot(parser: Any) -> None:
    parser.add_argument("--svg", default="", metavar="FILE", help="write a picture (- for the output)")


COMMANDS = (
    Command(
        "boot",
        "eventd.boot.commands_boot",
        "what this boot waited for, and what its time was made of",
        "Show when each fact of this boot came, what each workload waited for and did, and the critical path\n"
        "from the kernel to the last workload that converged.",
        "  eventctl boot\n"
        "  eventctl boot --svg boot.svg    a picture, for a browser\n"
        "  eventctl boot --json | jq '.critical_path | max_by(.seconds)'\n",
        _boot,
        group=Group.LOOK,
    ),
)
