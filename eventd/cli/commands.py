"""What the commands are called, what they take, and what their help says. A declaration: it imports nothing.

A new command is an entry in `COMMANDS` and a module with `run(arguments, terminal) -> int`. Next:
`parser.build`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Command:
    """One command: `module` has `run`, `arguments` adds its options."""

    def __init__(
        self, name: str, summary: str, description: str, examples: str, arguments: Callable[[Any], None]
    ) -> None:
        self.name = name
        self.summary = summary
        self.description = description
        self.examples = examples
        self.arguments = arguments
        self.module = f"eventd.cli.{name}_command"


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value <= 86400:
        raise ValueError(text)
    return value


def _sequence(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def _positive(text: str) -> int:
    value = int(text)
    if not 0 < value <= 100:
        raise ValueError(text)
    return value


# What argparse calls a value of the wrong type: "invalid SECONDS value".
_seconds.__name__ = "SECONDS (more than 0, up to 86400)"
_sequence.__name__ = "sequence number"
_positive.__name__ = "number (1 to 100)"


def _status(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", metavar="WORKLOAD", help="one workload, in full")


def _adopt(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="the account, and the workload that gets it")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--with-login",
        action="store_true",
        help="also if a person can log in with it (a password, ssh keys, a home that cannot be looked into)",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=900.0,
        metavar="SECONDS",
        help="how long the daemon may be silent before eventctl gives up (default: %(default)g)",
    )


def _disown(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="the account")


def _restart(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload whose units are restarted")
    parser.add_argument(
        "--wait", action="store_true", help="wait for the run, show its progress, exit by its result"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=900.0,
        metavar="SECONDS",
        help="with --wait: how long the daemon may be silent before eventctl gives up (default: %(default)g)",
    )


def _plan(parser: Any) -> None:
    parser.add_argument("--fetch", action="store_true", help="fetch the repository first")
    parser.add_argument(
        "--no-diff", action="store_true", help="only what would be done, not how files change"
    )


def _sync(parser: Any) -> None:
    parser.add_argument(
        "--wait", action="store_true", help="wait for the run, show its progress, exit by its result"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=900.0,
        metavar="SECONDS",
        help="with --wait: how long the daemon may be silent before eventctl gives up (default: %(default)g)",
    )
    parser.add_argument(
        "--no-fetch", action="store_true", help="repair towards the revision at hand; ask no remote"
    )
    parser.add_argument(
        "--allow-rewrite",
        metavar="COMMIT",
        help="accept that the branch was rewritten (force-pushed), if it now points to exactly COMMIT",
    )


def _events(parser: Any) -> None:
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on as events come, across restarts of the daemon"
    )
    parser.add_argument(
        "--since", type=_sequence, default=0, metavar="N", help="only those after sequence number N"
    )


def _why(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload in question")


def _audit(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")


def _runs(parser: Any) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="one run, in full")
    parser.add_argument(
        "-n", "--limit", type=_positive, default=20, metavar="N", help="how many (default: %(default)s)"
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
        help="eventd.toml to take defaults from (default: the host's, if any)",
    )


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


def _gates(parser: Any) -> None:
    parser.add_argument(
        "--units",
        action="append",
        default=[],
        metavar="DIR",
        help="look at a folder of unit files and its waits.toml, without a daemon; an earlier DIR goes first",
    )
    parser.add_argument(
        "--svg", default="", metavar="FILE", help="write the graph as a picture (- for the output)"
    )


def _doctor(parser: Any) -> None:
    parser.add_argument(
        "--config",
        default="",
        metavar="FILE",
        help="the configuration to check (default: /etc/eventd/eventd.toml)",
    )


def _boot(parser: Any) -> None:
    parser.add_argument("--svg", default="", metavar="FILE", help="write a picture (- for the output)")


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


def _state(parser: Any) -> None:
    parser.add_argument(
        "--acknowledge",
        action="store_true",
        help="say that you know of the losses: status stops telling of them",
    )


def _timeout(parser: Any) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=900.0,
        metavar="SECONDS",
        help="how long the daemon may be silent before eventctl gives up (default: %(default)g)",
    )


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
    _timeout(parser)


def _retained(parser: Any) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of them, with what it contains")


def _remove(parser: Any) -> None:
    parser.add_argument("name", metavar="NAME", help="a workload that left the repository")
    parser.add_argument(
        "--data", required=True, choices=("keep", "delete"), help="what becomes of its account and data"
    )


def _nothing(parser: Any) -> None:
    del parser


def _waits(parser: Any) -> None:
    parser.add_argument(
        "--wait", action="store_true", help="wait for the run, show its progress, exit by its result"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=900.0,
        metavar="SECONDS",
        help="with --wait: how long the daemon may be silent before eventctl gives up (default: %(default)g)",
    )


def _update(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")
    parser.add_argument(
        "--check", action="store_true", help="only ask the registries whether there is anything newer"
    )
    parser.add_argument(
        "--retry", action="store_true", help="take an image, too, that the last update went back from"
    )
    parser.add_argument(
        "--when-up",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait so long for the daemon to be up, as after a boot (default: not at all)",
    )
    _waits(parser)


def _images(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")


def _rollback(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload that goes back")
    parser.add_argument(
        "--to",
        metavar="COMMIT",
        help="a commit of the branch (default: the last verified content before the present one)",
    )
    _waits(parser)


def _suspend(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why, for whoever asks")


def _resume(parser: Any) -> None:
    parser.add_argument(
        "workload", nargs="?", default="", metavar="WORKLOAD", help="this one (default: the whole host)"
    )
    _waits(parser)


COMMANDS = (
    Command(
        "status",
        "what is converged, what is not, why, and since when",
        "Show where the host and its workloads stand: what is not as wanted comes first, with the reason,\n"
        "what to do about it and the last journal lines of the failing unit.",
        "  eventctl status                 the whole host\n"
        "  eventctl status web             one workload, with its units\n"
        "  eventctl status && echo fine    0 only if everything is converged\n"
        "  eventctl status --json | jq '.workloads[] | select(.state != \"converged\") | .name'\n",
        _status,
    ),
    Command(
        "plan",
        "what a run would do now, and why; changes nothing",
        "Show the difference between what the repository wants and what is on the host: the actions of the\n"
        "next run, how files would change, and what a policy says against an action.\n"
        "As with diff(1), 0 means that there is nothing to do.",
        "  eventctl plan                   against the revision that was fetched last\n"
        "  eventctl plan --fetch           against what the branch points to now\n"
        "  eventctl plan --no-diff         without the contents of files\n",
        _plan,
    ),
    Command(
        "sync",
        "fetch, and bring the host to what the repository says",
        "Ask for a run. If one is on already, this request joins it or the one that follows.\n"
        "Without --wait, 0 means that the request was taken.",
        "  eventctl sync                   ask, and do not wait\n"
        "  eventctl sync --wait            watch it; 0: all well, 1: a failure, 4: something waits\n"
        "  eventctl sync --no-fetch        repair drift only\n"
        "  eventctl sync --allow-rewrite 9f8e7d6c…   after a force-push that you know of (full id)\n",
        _sync,
    ),
    Command(
        "adopt",
        "hand an account that is there already over to eventd",
        "Say what it means that eventd runs a workload with an account that somebody made, ask, and do it:\n"
        "the account is written down as adopted, and the workload is deployed. Accounts that eventd makes\n"
        "need none of this. Refused for root, system and protected accounts, and while somebody is logged in.",
        "  eventctl adopt media                 says what it means, and asks\n"
        "  eventctl adopt media --yes           for scripts; 0: the workload is up\n"
        "  eventctl adopt anna --with-login     of a person, who keeps password and ssh keys\n",
        _adopt,
    ),
    Command(
        "disown",
        "give an account back: eventd leaves it alone from now on",
        "Forget that an account, its files and its units are eventd's. Everything stays and goes on running;\n"
        "eventd neither changes nor removes it any more. A workload of that name is then refused.",
        "  eventctl disown media\n",
        _disown,
    ),
    Command(
        "restart",
        "restart what runs of a workload, and verify it",
        "Ask for a run in which the units of a workload are restarted, one after the other in their order,\n"
        "and verified as after a push. Root may restart any workload, a workload itself.\n"
        "Without --wait, 0 means that the request was taken.",
        "  eventctl restart web\n  eventctl restart web --wait     0: it is up again and healthy\n",
        _restart,
    ),
    Command(
        "rollback",
        "have an earlier revision of a workload run",
        "Put a workload back to the last content before the present one that was verified on this host, or to\n"
        "what it was at a commit. It stays there until its files in the repository change, or until\n"
        "`eventctl resume WORKLOAD`. Root may roll back any workload, a workload itself.\n"
        "Without --wait, 0 means that the order is written.",
        "  eventctl rollback web --wait            0: the earlier revision is up and verified\n"
        "  eventctl rollback web --to 9f8e7d6c     as it was at that commit\n"
        "  eventctl resume web                     back to what the repository says\n",
        _rollback,
    ),
    Command(
        "update",
        "pull newer images, restart what changed, verify it, or go back",
        "Pull the images of a workload, or of all, restart the containers whose image changed, and verify them. What\n"
        "does not come up healthy goes back to the image that ran before; the others go on, and the exit code is 1.\n"
        "An image that was gone back from is not taken again until the registry has another, or with --retry.\n"
        "With --check, 0: everything is up to date, 4: there is something newer, 1: a registry could not be asked.",
        "  eventctl update --wait                  everything that can be updated\n"
        "  eventctl update web --wait              0: the newest images run, and are verified\n"
        "  eventctl update --check                 pulls nothing\n",
        _update,
    ),
    Command(
        "images",
        "the images that containers run, and what the last update did",
        "List the image of each container: what is written, and the id of what runs.",
        "  eventctl images\n  eventctl images web --json | jq -r '.workloads[].images[].digests[]'\n",
        _images,
    ),
    Command(
        "suspend",
        "leave a workload, or the whole host, as it is",
        "Nothing of it is changed, started, stopped or repaired until it is resumed, across restarts of the\n"
        "daemon and of the host. What happens is seen all the same; what would be done shows as held.",
        "  eventctl suspend web --reason 'moving the database'\n"
        "  eventctl suspend                        everything\n",
        _suspend,
    ),
    Command(
        "resume",
        "end a suspension or a rollback, and converge",
        "End the suspension and the rollback of a workload, or, without one, the suspension of the host. What\n"
        "the repository says is brought about at once.",
        "  eventctl resume web --wait\n"
        "  eventctl resume                         ends `eventctl suspend`; what has its own stays so\n",
        _resume,
    ),
    Command(
        "events",
        "what the daemon saw: units, logins, files, pushes",
        "Show the latest events, oldest first. Events say where the daemon looked again; what it then did\n"
        "is in `eventctl runs`.",
        "  eventctl events                 those in memory\n"
        "  eventctl events --follow        and those to come\n"
        "  eventctl events --since 1200 --json | jq -r '[.kind, .subject] | @tsv'\n",
        _events,
    ),
    Command(
        "why",
        "why a workload is in the state it is in",
        "Answer in a sentence, with the facts that it rests on: what is wanted, and what is there.",
        "  eventctl why photos\n",
        _why,
    ),
    Command(
        "audit",
        "where the units come from, and whether that is as it must be",
        "Hold what the user managers loaded, and what they would load next, against what eventd installed: unit\n"
        "files, drop-ins, masks. Each finding blocks its workload, and comes with the command that shows it.\n"
        "Exits with 1 if there is any.",
        "  eventctl audit\n"
        "  eventctl audit web\n"
        "  eventctl audit --json | jq -r '.workloads[].findings[] | [.code, .path] | @tsv'\n",
        _audit,
    ),
    Command(
        "boot",
        "what this boot waited for, and what its time was made of",
        "Show when each fact of this boot came, what each workload waited for and did, and the critical path\n"
        "from the kernel to the last workload that converged.",
        "  eventctl boot\n"
        "  eventctl boot --svg boot.svg    a picture, for a browser\n"
        "  eventctl boot --json | jq '.critical_path | max_by(.seconds)'\n",
        _boot,
    ),
    Command(
        "runs",
        "the latest runs, what led to them and how they ended",
        "List the latest runs, newest first, or show one of them with what became of each workload.",
        "  eventctl runs                   the latest 20\n"
        "  eventctl runs 41                one; 0: it went well, 1: anything failed, 4: something waited\n",
        _runs,
    ),
    Command(
        "check",
        "check a checkout of the repository, without a daemon",
        "Read a folder as eventd reads a commit; print each mistake as FILE:LINE: with what to do about it.\n"
        "If the host has podman's Quadlet generator, that is asked too. Needs neither a daemon nor root.",
        "  eventctl check .                as a pre-commit hook or in CI\n"
        "  eventctl check . --host web1    as the host web1 would see it\n",
        _check,
    ),
    Command(
        "render",
        "the files as they would be installed, without a daemon",
        "Print each file of a checkout as it would be installed, after transforms, or one file alone.\n"
        "Needs neither a daemon nor root.",
        "  eventctl render .                              everything\n"
        "  eventctl render . web                          one workload\n"
        "  eventctl render . web --file web.container     that file alone, byte for byte\n",
        _render,
    ),
    Command(
        "gates",
        "who waits for whom, and which waits can never end",
        "Show the gates of all workloads and what each of them waits for. With --units, look through plain\n"
        "unit files instead, for waits that wait for themselves: what a unit's script waits for stands in\n"
        "waits.toml beside them. Then 0 is clean, 1 circular, 2 a mistake in waits.toml or no such folder.",
        "  eventctl gates                                  this host's gates\n"
        "  eventctl gates --svg gates.svg                  as a picture\n"
        "  eventctl gates --units ./units                  check other people's deploys, without a daemon\n"
        "  eventctl gates --units /etc/systemd/system --units /usr/lib/systemd/system\n",
        _gates,
    ),
    Command(
        "approvals",
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
        "say no to a request; what it was for stays as it is",
        "Reject a request: nothing is done, and it is not asked for again until its plan changes.",
        "  eventctl reject 3f9a2c\n  eventctl reject 3f9a2c --undo    ask again\n",
        _reject,
    ),
    Command(
        "retained",
        "accounts and data of workloads that left the repository",
        "List what workloads left behind: their units and files are gone, account and data are kept until\n"
        'remove.data = "delete" (or eventctl remove) and a signature.',
        "  eventctl retained\n  eventctl retained photos    with what is in its home\n",
        _retained,
    ),
    Command(
        "remove",
        "ask for the data of a workload that left to be deleted, or kept",
        "Say what becomes of the account and data of a workload that is no longer in the repository, whatever\n"
        "its workload.toml said. A deletion is held until somebody has signed for it: eventctl approvals.",
        "  eventctl remove photos --data delete\n  eventctl remove photos --data keep\n",
        _remove,
    ),
    Command(
        "state",
        "what was recovered after a crash, or lost with a state file",
        "Show which steps the daemon's last life left open and what was done with each, and whether a state file was\n"
        "damaged and set aside: what is still managed, and what is left alone until it is adopted.",
        "  eventctl state\n  eventctl state --acknowledge    status stops telling of a loss\n",
        _state,
    ),
    Command(
        "storage",
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
        "doctor",
        "what this host lacks, and what to do about it",
        "Look whether this host has what eventd needs, and ask the daemon for what it found, if it runs.",
        "  eventctl doctor\n  eventctl doctor --config ./eventd.toml\n",
        _doctor,
    ),
    Command(
        "metrics",
        "the daemon's metrics in Prometheus' text format",
        "Print the metrics as Prometheus would scrape them (curl --unix-socket … http://eventd/metrics).",
        "  eventctl metrics\n"
        "  eventctl metrics > /var/lib/prometheus/node-exporter/eventd.prom    for the textfile collector\n",
        _nothing,
    ),
)
