"""Commands for volumes, what workloads left behind, and the signatures that the destruction of data takes."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, patience


def _storage(parser: Any) -> None:
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME | VERB NAME",
        help="one volume, in full; or what is to be done with one: eject, attach, decommission, migrate, forget-data",
    )
    parser.add_argument(
        "--to", default="", metavar="OTHER", help="with migrate: the volume that it is moved to"
    )
    parser.add_argument(
        "--abort", action="store_true", help="with migrate: take it back; possible until the switch"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="do not wait for what is done to be over: only ask for it"
    )
    patience(parser)


def _retained(parser: Any) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of them, with what it contains")


def _remove(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="a workload that left the repository")
    parser.add_argument(
        "--data", required=True, choices=("keep", "delete"), help="what becomes of its account and data"
    )


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


DATA = (
    Command(
        "storage",
        "eventd.storage.commands",
        "volumes: what is attached, what uses it, what a backup would contain",
        "List the volumes of storage.toml with their state and free space, the file systems that are attached and\n"
        "in no storage.toml, and for each workload the places that a backup would contain, with sizes as far as\n"
        "measured (asking has them measured in the background). Exits with 1 if a volume is in a wrong state, and\n"
        "with 4 if one that is used is not attached.\n"
        "eject: stop what uses the volume, unmount it, and say when its disk may be removed; it stays so, also over a\n"
        "reboot, until attach. decommission: the same for good, for a volume that nothing uses any more.\n"
        "migrate: stop what uses the volume, copy it to another, compare both byte by byte, and go on there under the\n"
        "same path; the old disk keeps what is on it. forget-data: have that deleted, which takes a signed approval.",
        "  eventctl storage\n  eventctl storage media           one volume, in full\n"
        "  eventctl storage eject media     0: it is safe to remove the disk\n"
        "  eventctl storage migrate media --to big\n"
        "  eventctl storage attach media    mounted again, and what was stopped is started\n"
        "  eventctl storage --json | jq .unknown\n",
        _storage,
    ),
    Command(
        "retained",
        "eventd.workloads.commands_retained",
        "accounts and data of workloads that left the repository",
        "List what workloads left behind: their units and files are gone, account and data are kept until\n"
        'remove.data = "delete" (or eventctl remove) and a signature.',
        "  eventctl retained\n  eventctl retained photos    with what is in its home\n",
        _retained,
    ),
    Command(
        "remove",
        "eventd.workloads.commands_remove",
        "ask for the data of a workload that left to be deleted, or kept",
        "Say what becomes of the account and data of a workload that is no longer in the repository, whatever\n"
        "its workload.toml said. A deletion is held until somebody has signed for it: eventctl approvals.",
        "  eventctl remove photos --data delete\n  eventctl remove photos --data keep\n",
        _remove,
    ),
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
    ),
    Command(
        "reject",
        "eventd.approvals.commands_reject",
        "say no to a request; what it was for stays as it is",
        "Reject a request: nothing is done, and it is not asked for again until its plan changes.",
        "  eventctl reject 3f9a2c\n  eventctl reject 3f9a2c --undo    ask again\n",
        _reject,
    ),
)
