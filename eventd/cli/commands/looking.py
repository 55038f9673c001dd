"""Commands that look at the host, through the daemon, and change nothing."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, no_options, patience, sequence, up_to


def _status(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", metavar="WORKLOAD", help="one workload, in full")


def _why(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload in question")


def _runs(parser: Any) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="one run, in full")
    parser.add_argument(
        "-n", "--limit", type=up_to(100), default=20, metavar="N", help="how many (default: %(default)s)"
    )


def _events(parser: Any) -> None:
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on as events come, across restarts of the daemon"
    )
    parser.add_argument(
        "--since", type=sequence, default=0, metavar="N", help="only those after sequence number N"
    )
    parser.add_argument(
        "-n", "--limit", type=up_to(4096), default=0, metavar="N", help="only the latest N of those in memory"
    )


def _plan(parser: Any) -> None:
    parser.add_argument("--fetch", action="store_true", help="fetch the repository first")
    parser.add_argument(
        "--no-diff", action="store_true", help="only what would be done, not how files change"
    )


def _boot(parser: Any) -> None:
    parser.add_argument("--svg", default="", metavar="FILE", help="write a picture (- for the output)")


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


def _audit(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")


def _images(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", default="", metavar="WORKLOAD", help="only this one")
    patience(parser, default=120.0)  # it asks the podman of every user


LOOKING = (
    Command(
        "status",
        "eventd.status.commands_status",
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
        "why",
        "eventd.status.commands_why",
        "why a workload is in the state it is in",
        "Answer in a sentence, with the facts that it rests on: what is wanted, and what is there.",
        "  eventctl why photos\n",
        _why,
    ),
    Command(
        "runs",
        "eventd.status.commands_runs",
        "the latest runs, what led to them and how they ended",
        "List the latest runs, newest first, or show one of them with what became of each workload.",
        "  eventctl runs                   the latest 20\n"
        "  eventctl runs 41                one; 0: it went well, 1: anything failed, 4: something waited\n",
        _runs,
    ),
    Command(
        "events",
        "eventd.status.commands_events",
        "what the daemon saw: units, logins, files, pushes",
        "Show the latest events, oldest first. Events say where the daemon looked again; what it then did\n"
        "is in `eventctl runs`.",
        "  eventctl events                 those in memory\n"
        "  eventctl events -n 20 --follow  the latest, and those to come\n"
        "  eventctl events --since 1200 --json | jq -r '[.kind, .subject] | @tsv'\n",
        _events,
    ),
    Command(
        "plan",
        "eventd.status.commands_plan",
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
        "boot",
        "eventd.boot.commands",
        "what this boot waited for, and what its time was made of",
        "Show when each fact of this boot came, what each workload waited for and did, and the critical path\n"
        "from the kernel to the last workload that converged.",
        "  eventctl boot\n"
        "  eventctl boot --svg boot.svg    a picture, for a browser\n"
        "  eventctl boot --json | jq '.critical_path | max_by(.seconds)'\n",
        _boot,
    ),
    Command(
        "gates",
        "eventd.waits.commands",
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
        "audit",
        "eventd.audit.commands",
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
        "images",
        "eventd.updates.commands_images",
        "the images that containers run, and what the last update did",
        "List the image of each container: what is written, and the id of what runs.",
        "  eventctl images\n  eventctl images web --json | jq -r '.workloads[].images[].digests[]'\n",
        _images,
    ),
    Command(
        "metrics",
        "eventd.status.commands_metrics",
        "the daemon's metrics in Prometheus' text format",
        "Print the metrics as Prometheus would scrape them (curl --unix-socket … http://eventd/metrics).",
        "  eventctl metrics\n"
        "  eventctl metrics > /var/lib/prometheus/node-exporter/eventd.prom    for the textfile collector\n",
        no_options,
    ),
)
