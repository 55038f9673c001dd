"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, up_to


def _logs(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload")
    parser.add_argument("-f", "--follow", action="store_true", help="keep following the log")
    parser.add_argument(
        "--since",
        default="",
        metavar="TIME",
        help="start from this time: 10m, 2h, today, '2026-01-31 12:00' (systemd.time(7))",
    )
    parser.add_argument(
        "-n",
        "--limit",
        type=up_to(1_000_000),
        default=0,
        metavar="N",
        help="only the latest N messages (default: 100; with --since: all)",
    )
    parser.add_argument(
        "--all", action="store_true", help="include messages of podman and of the user manager"
    )
    parser.add_argument(
        "--raw",
        action="store_true",
        help="print control characters as they were logged; they can control your terminal",
    )


def _exec(parser: Any) -> None:
    parser.add_argument(
        "--no-tty", action="store_true", help="give the command no terminal, even if there is one here"
    )
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload")
    parser.add_argument(
        "container",
        nargs="?",
        default="",
        metavar="CONTAINER",
        help="default: the only running container, or the one named like the workload",
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
        "the log of a workload's containers and units",
        "Print what the containers and units of a workload logged, in the order of time. Messages of podman, conmon\n"
        "and the user manager are left out. Control characters are removed or made visible.\n"
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
        "Run a command in a running container, as the workload's account. It gets a terminal if there is one here;\n"
        "otherwise input and output are passed through. The exit code is the command's (125: podman's).\n"
        "Its output reaches your terminal unchanged. For root and the workload's account. Needs no daemon.",
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
        "Open a shell as the account of a workload, started by the account's own manager, so that podman and\n"
        "systemctl --user are the account's. It has nothing of your session and none of your rights. If standard\n"
        "input is not a terminal, it is read as a script. The exit code is the shell's. For root and the workload's\n"
        "account. Needs no daemon.",
        "  eventctl shell web\n  echo 'podman volume ls' | eventctl shell web\n",
        _shell,
        group=Group.WITHIN,
    ),
    Command(
        "ps",
        "eventd.containers.commands_ps",
        "list containers",
        "List the containers of one workload or of all, as each account's podman reports them, stopped ones too.\n"
        "Root sees all, an account its own. Needs no daemon. Exits with 1 if a podman does not answer.",
        "  eventctl ps\n  eventctl ps web --json | jq -r '.containers[].id'\n",
        _ps,
        group=Group.WITHIN,
    ),
)
