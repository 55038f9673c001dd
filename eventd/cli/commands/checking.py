"""Commands that check a repository or a host; most need no daemon."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command


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
        help="eventd.toml to take defaults from (default: the host's, if any)",
    )


def _explain(parser: Any) -> None:
    parser.add_argument("reason", nargs="?", default="", metavar="REASON", help="as in status, why or JSON")


def _check(parser: Any) -> None:
    _tree(parser)
    parser.add_argument(
        "--no-generator", action="store_true", help="do not run the host's own Quadlet generator"
    )


def _render(parser: Any) -> None:
    _tree(parser)
    parser.add_argument("workload", nargs="?", metavar="WORKLOAD", help="only this workload")
    parser.add_argument(
        "--file", default="", metavar="NAME", help="only this file, as the bytes that would be installed"
    )


def _doctor(parser: Any) -> None:
    parser.add_argument(
        "--config",
        default="",
        metavar="FILE",
        help="the configuration to check (default: /etc/eventd/eventd.toml)",
    )


def _state(parser: Any) -> None:
    parser.add_argument(
        "--acknowledge",
        action="store_true",
        help="say that you know of the losses: status stops telling of them",
    )


CHECKING = (
    Command(
        "check",
        "eventd.desired.commands_check",
        "check a checkout of the repository, without a daemon",
        "Read a folder as eventd reads a commit; print each mistake as FILE:LINE: with what to do about it.\n"
        "If the host has podman's Quadlet generator, that is asked too. Needs neither a daemon nor root.",
        "  eventctl check .                as a pre-commit hook or in CI\n"
        "  eventctl check . --host web1    as the host web1 would see it\n",
        _check,
    ),
    Command(
        "render",
        "eventd.desired.commands_render",
        "the files as they would be installed, without a daemon",
        "Print each file of a checkout as it would be installed, after transforms, or one file alone.\n"
        "Needs neither a daemon nor root.",
        "  eventctl render .                              everything\n"
        "  eventctl render . web                          one workload\n"
        "  eventctl render . web --file web.container     that file alone, byte for byte\n",
        _render,
    ),
    Command(
        "doctor",
        "eventd.doctor.commands",
        "what this host lacks, and what to do about it",
        "Look whether this host has what eventd needs, and ask the daemon for what it found, if it runs.",
        "  eventctl doctor\n  eventctl doctor --config ./eventd.toml\n",
        _doctor,
    ),
    Command(
        "explain",
        "eventd.status.commands_explain",
        "what a reason means, and the way out",
        "Say what a reason that eventd gives means, and what to do about it; without one, list them all.\n"
        "Needs neither a daemon nor root.",
        "  eventctl explain start-limit-hit\n  eventctl explain --json | jq -r '.reasons[].reason'\n",
        _explain,
    ),
    Command(
        "state",
        "eventd.state.commands",
        "what was recovered after a crash, or lost with a state file",
        "Show which steps the daemon's last life left open and what was done with each, and whether a state file was\n"
        "damaged and set aside: what is still managed, and what is left alone until it is adopted.",
        "  eventctl state\n  eventctl state --acknowledge    status stops telling of a loss\n",
        _state,
    ),
)
