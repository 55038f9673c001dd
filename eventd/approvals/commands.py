"""What `eventctl` has of this domain: declarations, which import nothing that takes time."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group


def _approvals(parser: Any) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="one request, in full")
    parser.add_argument("--all", action="store_true", help="also those that are over, and refused signatures")
    parser.add_argument(
        "--export", default="", metavar="FILE", help="write the document of ID, to be signed elsewhere"
    )


def _approve(parser: Any) -> None:
    parser.add_argument("id", metavar="ID", help="the request, as eventctl approvals shows it")
    parser.add_argument(
        "--key", default="", metavar="FILE", help="SSH key to sign with; its .pub where an agent has it"
    )
    parser.add_argument(
        "--signature", default="", metavar="FILE", help="hand in a signature that was made elsewhere"
    )
    parser.add_argument(
        "--document", default="", metavar="FILE", help="with --signature: what was signed, for a better error"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before signing")


def _reject(parser: Any) -> None:
    parser.add_argument("id", metavar="ID", help="the request, as eventctl approvals shows it")
    parser.add_argument(
        "--undo", action="store_true", help="take a rejection back, so that it is asked for again"
    )


COMMANDS = (
    Command(
        "approvals",
        "eventd.approvals.commands_approvals",
        "what waits for an operator's signature, and why",
        "Show what would destroy data and is therefore held: the plan, exactly what would be gone, and until\n"
        "when it can be approved. An approval is good once, for this host, for exactly that plan.\n"
        "As with status, 4 means that something waits.",
        "  eventctl approvals                              what waits, and how to approve it\n"
        "  eventctl approvals --all                        also what is over, and refused signatures\n"
        "  eventctl approvals 3f9a2c --export 3f9a2c.json  to sign it on another machine\n",
        _approvals,
        group=Group.DATA,
    ),
    Command(
        "approve",
        "eventd.approvals.commands_approve",
        "sign a request, or hand in its signature",
        "Show a request, sign it with your SSH key (ssh-keygen -Y sign) and hand the signature in. The key's\n"
        "public half has to be in the host's allowed_signers. Keys in an agent and security keys work too.",
        "  eventctl approve 3f9a2c --key ~/.ssh/id_ed25519\n"
        "  eventctl approve 3f9a2c --key ~/.ssh/id_ed25519.pub     the private half is in the agent\n"
        "  eventctl approve 3f9a2c --signature 3f9a2c.json.sig     signed elsewhere\n",
        _approve,
        group=Group.DATA,
    ),
    Command(
        "reject",
        "eventd.approvals.commands_reject",
        "say no to a request; what it was for stays as it is",
        "Reject a request: nothing is done, and it is not asked for again until its plan changes.",
        "  eventctl reject 3f9a2c\n  eventctl reject 3f9a2c --undo    ask again\n",
        _reject,
        group=Group.DATA,
    ),
)
