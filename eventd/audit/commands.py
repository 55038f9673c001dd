"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group


def _audit(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")


COMMANDS = (
    Command(
        "audit",
        "eventd.audit.commands_audit",
        "where the units come from, and whether eventd installed them",
        "Compare what the user managers have loaded, and would load next, with what eventd installed: unit files,\n"
        "drop-ins, masks. Each finding blocks its workload, and comes with the command that shows it.\n"
        "Exits with 1 if there is any.",
        "  eventctl audit\n"
        "  eventctl audit web\n"
        "  eventctl audit --json | jq -r '.workloads[].findings[] | [.code, .path] | @tsv'\n",
        _audit,
        group=Group.SHOW,
    ),
)
