"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group


def _approvals(parser: Any) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="one request, in full")
    parser.add_argument("--all", action="store_true", help="also closed requests and refused signatures")
    parser.add_argument(
        "--export", default="", metavar="FILE", help="write the document of ID to FILE, to sign it elsewhere"
    )


def _approve(parser: Any) -> None:
    parser.add_argument("id", metavar="ID", help="the request, as eventctl approvals shows it")
    parser.add_argument(
        "--key", default="", metavar="FILE", help="SSH key to sign with; its .pub if an agent holds it"
    )
    parser.add_argument(
        "--signature", default="", metavar="FILE", help="submit a signature that was made elsewhere"
    )
    parser.add_argument(
        "--document", default="", metavar="FILE", help="with --signature: what was signed, for better errors"
    )
    parser.add_argument("--yes", action="store_true", help="do not ask before signing")


def _reject(parser: Any) -> None:
    parser.add_argument("id", metavar="ID", help="the request, as eventctl approvals shows it")
    parser.add_argument("--undo", action="store_true", help="withdraw a rejection; the request is open again")


COMMANDS = (
    Command(
        "approvals",
        "eventd.approvals.commands_approvals",
        "what waits for an operator's signature, and why",
        "Show what would destroy data and is therefore held: the plan, exactly what would be deleted, and until\n"
        "when it can be approved. An approval is valid once, for this host and for exactly that plan.\n"
        "As with status, 4 means that something waits.",
        "  eventctl approvals                              what waits, and how to approve it\n"
        "  eventctl approvals --all                        also closed requests and refused signatures\n"
        "  eventctl approvals 3f9a2c --export 3f9a2c.json  to sign it on another machine\n",
        _approvals,
        group=Group.DATA,
    ),
    Command(
        "approve",
        "eventd.approvals.commands_approve",
        "sign a request, or submit its signature",
        "Show a request, sign it with your SSH key (ssh-keygen -Y sign) and submit the signature. The public\n"
        "key has to be in the host's allowed_signers. Keys in an agent and security keys work too.",
        "  eventctl approve 3f9a2c --key ~/.ssh/id_ed25519\n"
        "  eventctl approve 3f9a2c --key ~/.ssh/id_ed25519.pub     the private key is in the agent\n"
        "  eventctl approve 3f9a2c --signature 3f9a2c.json.sig     signed elsewhere\n",
        _approve,
        group=Group.DATA,
    ),
    Command(
        "reject",
        "eventd.approvals.commands_reject",
        "reject a request; nothing is changed",
        "Reject a request: nothing is done, and there is no new request until its plan changes.",
        "  eventctl reject 3f9a2c\n  eventctl reject 3f9a2c --undo    open it again\n",
        _reject,
        group=Group.DATA,
    ),
)
