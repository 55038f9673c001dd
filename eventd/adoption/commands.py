"""What `eventctl` has of this domain: declarations, which import nothing that takes time."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, patience


def _adopt(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="the account, and the workload that gets it")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--with-login",
        action="store_true",
        help="also if a person can log in with it (a password, ssh keys, a home that cannot be looked into)",
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
        "--all", action="store_true", help="every account of eventd's, as before it is removed"
    )


COMMANDS = (
    Command(
        "adopt",
        "eventd.adoption.commands_adopt",
        "hand an account that is there already over to eventd",
        "Say what it means that eventd runs a workload with an account that somebody made, ask, and do it:\n"
        "the account is written down as adopted, and the workload is deployed. Accounts that eventd makes\n"
        "need none of this. Refused for root, system and protected accounts, and while somebody is logged in.",
        "  eventctl adopt media                 says what it means, and asks\n"
        "  eventctl adopt media --yes           for scripts; 0: the workload is up\n"
        "  eventctl adopt anna --with-login     of a person, who keeps password and ssh keys\n"
        "  eventctl adopt media --move-aside    its own Quadlet files and units would be in the way\n",
        _adopt,
        group=Group.ACT,
    ),
    Command(
        "disown",
        "eventd.adoption.commands_disown",
        "give an account back: eventd leaves it alone from now on",
        "Forget that an account, its files and its units are eventd's. Everything stays and goes on running, and what\n"
        "ran starts at boot by the account's own manager, without gates; eventd neither changes nor removes it any\n"
        "more. A workload of that name is then refused.",
        "  eventctl disown media\n"
        "  eventctl disown --all           before eventd is removed; says what volumes need from then on\n",
        _disown,
        group=Group.ACT,
    ),
)
