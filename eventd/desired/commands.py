"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group


def _check(parser: Any) -> None:
    _tree(parser)
    parser.add_argument(
        "--no-generator", action="store_true", help="do not run the host's own Quadlet generator"
    )


def _tree(parser: Any) -> None:
    parser.add_argument("folder", metavar="DIR", help="a checkout of the repository")
    parser.add_argument(
        "--host", default="", metavar="NAME", help="the host to check for (default: this one)"
    )
    parser.add_argument(
        "--transforms", default="", metavar="DIR", help="the host's transforms (default: as configured)"
    )
    parser.add_argument(
        "--config",
        default="",
        metavar="FILE",
        help="eventd.toml to take defaults from (default: the host's, if there is one)",
    )


def _render(parser: Any) -> None:
    _tree(parser)
    parser.add_argument("workload", nargs="?", metavar="WORKLOAD", help="only this workload")
    parser.add_argument(
        "--file", default="", metavar="NAME", help="only this file, as the bytes that would be installed"
    )


COMMANDS = (
    Command(
        "check",
        "eventd.desired.commands_check",
        "check a checkout of the repository, without a daemon",
        "Read a folder as eventd reads a commit; print each mistake as FILE:LINE: with what to do about it.\n"
        "Also runs podman's Quadlet generator if the host has it. Needs neither a daemon nor root.",
        "  eventctl check .                as a pre-commit hook or in CI\n"
        "  eventctl check . --host web1    as the host web1 would see it\n",
        _check,
        group=Group.CHECK,
    ),
    Command(
        "render",
        "eventd.desired.commands_render",
        "print the files as they would be installed, without a daemon",
        "Print each file of a checkout as it would be installed, after transforms, or one file alone.\n"
        "Needs neither a daemon nor root.",
        "  eventctl render .                              everything\n"
        "  eventctl render . web                          one workload\n"
        "  eventctl render . web --file web.container     that file alone, byte for byte\n",
        _render,
        group=Group.CHECK,
    ),
)
