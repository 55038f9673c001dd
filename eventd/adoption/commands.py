"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, patience


def _adopt(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="the account, and the workload that will use it")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--with-login",
        action="store_true",
        help="also if a person can log in with it (a password, ssh keys, a home that cannot be read)",
    )
    parser.add_argument(
        "--move-aside",
        action="store_true",
        help="stop its own units and move their files, and its Quadlet files, into a dated folder of its home",
    )
    patience(parser)


def _disown(parser: Any) -> None:
    parser.add_argument("name", nargs="?", default="", metavar="NAME", help="the account")
    parser.add_argument(
        "--all", action="store_true", help="every account that eventd manages, as before eventd is removed"
    )


COMMANDS = (
    Command(
        "adopt",
        "eventd.adoption.commands_adopt",
        "let eventd manage an existing account",
        "Let eventd run a workload in an account that it did not create. It explains what that means, asks, then\n"
        "records the account as adopted and deploys the workload. Accounts that eventd creates need no adoption.\n"
        "Refused for root, system and protected accounts, and while somebody is logged in.",
        "  eventctl adopt media                 explains what changes, and asks\n"
        "  eventctl adopt media --yes           for scripts; 0: the workload is up\n"
        "  eventctl adopt anna --with-login     of a person, who keeps password and ssh keys\n"
        "  eventctl adopt media --move-aside    its own Quadlet files and units would be in the way\n",
        _adopt,
        group=Group.ACT,
    ),
    Command(
        "disown",
        "eventd.adoption.commands_disown",
        "stop managing an account",
        "Forget that eventd manages an account, its files and its units. Everything stays in place and keeps running;\n"
        "at boot the account's own manager starts it, without gates. eventd no longer changes or removes any of it.\n"
        "A workload of that name is then refused.",
        "  eventctl disown media\n"
        "  eventctl disown --all           before eventd is removed; lists what its volumes need afterwards\n",
        _disown,
        group=Group.ACT,
    ),
)
