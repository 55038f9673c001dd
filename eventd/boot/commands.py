"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group


def _boot(parser: Any) -> None:
    parser.add_argument("--svg", default="", metavar="FILE", help="write a picture (- for stdout)")


COMMANDS = (
    Command(
        "boot",
        "eventd.boot.commands_boot",
        "what this boot waited for, and where the time went",
        "Show when each fact of this boot was observed, what each workload waited for and did, and the critical path\n"
        "from the kernel to the last workload that converged.",
        "  eventctl boot\n"
        "  eventctl boot --svg boot.svg    a picture, for a browser\n"
        "  eventctl boot --json | jq '.critical_path | max_by(.seconds)'\n",
        _boot,
        group=Group.SHOW,
    ),
)
