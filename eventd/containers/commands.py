"""What `eventctl` has of this domain: declarations, which import nothing that takes time."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, up_to


def _logs(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as it logs more")
    parser.add_argument(
        "--since",
        default="",
        metavar="TIME",
        help="only from then on: 10m, 2h, today, '2026-01-31 12:00' (systemd.time(7))",
    )
    parser.add_argument(
        "-n",
        "--limit",
        type=up_to(1_000_000),
        default=0,
        metavar="N",
        help="only the latest N messages (default: 100, with --since all)",
    )
    parser.add_argument(
        "--all", action="store_true", help="also what podman and the manager say of themselves"
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="control characters as they were logged: they can drive your terminal",
    )


def _exec(parser: Any) -> None:
    parser.add_argument(
        "--no-tty", action="store_true", help="no terminal for the command, even if there is one here"
    )
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload")
    parser.add_argument(
        "container",
        nargs="?",
        default="",
        metavar="CONTAINER",
        help="default: the only one that runs, or the one named like the workload",
    )
    parser.set_defaults(words=[])
    parser.usage = "%(prog)s [--no-tty] WORKLOAD [CONTAINER] -- COMMAND [ARGUMENT ...]"


def _shell(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload")


def _ps(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")


COMMANDS = (
    Command(
        "logs",
        "eventd.containers.commands_logs",
        "what a workload's containers and units say",
        "Print what the containers and units of a workload logged, merged in the order of time. Left out is what\n"
        "podman, conmon and the user manager say of themselves. Control characters are taken out or made visible.\n"
        "Needs no daemon. For root, and for the workload's account where the journal is persistent.",
        "  eventctl logs web               the latest 100 messages\n"
        "  eventctl logs web -f --since 10m\n"
        "  eventctl logs web --json | jq -r 'select(.priority <= 4) | .message'\n",
        _logs,
        group=Group.WITHIN,
    ),
    Command(
        "exec",
        "eventd.containers.commands_exec",
        "run a command in a container of a workload",
        "Run a command in a running container, as the workload's account: on a terminal of its own if there is one\n"
        "here, and else with input and output passed through. The exit code is the command's (125: podman's).\n"
        "What it writes reaches your terminal as it is. For root and the workload's account. Needs no daemon.",
        "  eventctl exec web -- sh                      in the only container, or the one called web\n"
        "  eventctl exec shop db -- psql -U shop        in the container db\n"
        "  eventctl exec shop db -- pg_dump shop > shop.sql\n",
        _exec,
        takes_words=True,
        group=Group.WITHIN,
    ),
    Command(
        "shell",
        "eventd.containers.commands_shell",
        "a shell as a workload's account",
        "Open a shell as the account of a workload, started by its own manager: podman and systemctl --user are its\n"
        "own. Nothing of your session is in it, and it has no rights of yours. Input that is no terminal is read as\n"
        "a script. The exit code is the shell's. For root and the workload's account. Needs no daemon.",
        "  eventctl shell web\n  echo 'podman volume ls' | eventctl shell web\n",
        _shell,
        group=Group.WITHIN,
    ),
    Command(
        "ps",
        "eventd.containers.commands_ps",
        "the containers that there are",
        "List the containers of a workload, or of all, as the podman of each account has them, stopped ones too.\n"
        "Root sees all, an account its own. Needs no daemon. Exits with 1 if a podman could not be asked.",
        "  eventctl ps\n  eventctl ps web --json | jq -r '.containers[].id'\n",
        _ps,
        group=Group.WITHIN,
    ),
)
