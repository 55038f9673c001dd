"""The commands of this domain: declarations only, which import nothing slow."""

from __future__ import annotations

from typing import Any

from eventd.cli.commands.command import Command, Group, no_options, sequence, up_to


def _status(parser: Any) -> None:
    parser.add_argument("workload", nargs="?", metavar="WORKLOAD", help="one workload, in full")


def _why(parser: Any) -> None:
    parser.add_argument("workload", metavar="WORKLOAD", help="the workload to explain")


def _runs(parser: Any) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="one run, in full")
    parser.add_argument(
        "-n", "--limit", type=up_to(100), default=20, metavar="N", help="how many (default: %(default)s)"
    )


def _events(parser: Any) -> None:
    parser.add_argument(
        "-f", "--follow", action="store_true", help="keep following, across restarts of the daemon"
    )
    parser.add_argument(
        "--since", type=sequence, default=0, metavar="N", help="only events after sequence number N"
    )
    parser.add_argument(
        "-n", "--limit", type=up_to(4096), default=0, metavar="N", help="only the latest N of those in memory"
    )


def _plan(parser: Any) -> None:
    parser.add_argument("--fetch", action="store_true", help="fetch the repository first")
    parser.add_argument("--no-diff", action="store_true", help="show the actions only, without file diffs")


def _explain(parser: Any) -> None:
    parser.add_argument("reason", nargs="?", default="", metavar="REASON", help="as in status, why or JSON")


COMMANDS = (
    Command(
        "status",
        "eventd.status.commands_status",
        "what is converged, what is not, why, and since when",
        "Show the state of the host and its workloads. What is not as desired comes first, with the reason,\n"
        "what to do about it and the last journal lines of the failing unit.",
        "  eventctl status                 the whole host\n"
        "  eventctl status web             one workload, with its units\n"
        "  eventctl status && echo fine    0 only if everything is converged\n"
        "  eventctl status --json | jq '.workloads[] | select(.state != \"converged\") | .name'\n",
        _status,
        group=Group.SHOW,
    ),
    Command(
        "why",
        "eventd.status.commands_why",
        "why a workload is in the state it is in",
        "Answer in one sentence, with the facts behind it: the desired and the observed state.",
        "  eventctl why photos\n",
        _why,
        group=Group.SHOW,
    ),
    Command(
        "runs",
        "eventd.status.commands_runs",
        "the latest runs, what triggered them and how they ended",
        "List the latest runs, newest first, or show one of them with the result of each workload.",
        "  eventctl runs                   the latest 20\n"
        "  eventctl runs 41                one; 0: it went well, 1: something failed, 4: something was held\n",
        _runs,
        group=Group.SHOW,
    ),
    Command(
        "events",
        "eventd.status.commands_events",
        "what the daemon saw: units, logins, files, pushes",
        "Show the latest events, oldest first. An event says what the daemon read again; what it then did\n"
        "is in `eventctl runs`.",
        "  eventctl events                 those in memory\n"
        "  eventctl events -n 20 --follow  the latest, and new ones as they come\n"
        "  eventctl events --since 1200 --json | jq -r '[.kind, .subject] | @tsv'\n",
        _events,
        group=Group.SHOW,
    ),
    Command(
        "plan",
        "eventd.status.commands_plan",
        "what a run would do now, and why; changes nothing",
        "Show the difference between the repository and the host: the actions of the next run, how files would\n"
        "change, and which policy holds or refuses an action.\n"
        "As with diff(1), 0 means that there is nothing to do.",
        "  eventctl plan                   against the revision that was fetched last\n"
        "  eventctl plan --fetch           against what the branch points to now\n"
        "  eventctl plan --no-diff         without the contents of files\n",
        _plan,
        group=Group.SHOW,
    ),
    Command(
        "metrics",
        "eventd.status.commands_metrics",
        "the daemon's metrics in Prometheus' text format",
        "Print the metrics as Prometheus would scrape them (curl --unix-socket … http://eventd/metrics).",
        "  eventctl metrics\n"
        "  eventctl metrics > /var/lib/prometheus/node-exporter/eventd.prom    for the textfile collector\n",
        no_options,
        group=Group.SHOW,
    ),
    Command(
        "explain",
        "eventd.status.commands_explain",
        "what a reason means, and what to do about it",
        "Explain a reason that eventd gives, and what to do about it; without one, list them all.\n"
        "Needs neither a daemon nor root.",
        "  eventctl explain start-limit-hit\n  eventctl explain --json | jq -r '.reasons[].reason'\n",
        _explain,
        group=Group.CHECK,
    ),
)
