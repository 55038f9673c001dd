"""`eventd-compose`: arguments, the log, and the exit status.

A unit starts `run`. The other commands do one thing and print one JSON document, for the daemon and for people.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from eventd.compose import process_verdict as verdict
from eventd.compose.process_failure import Reason, StackError
from eventd.compose.process_podman import Podman, Stack, unreadable
from eventd.compose.process_supervise import SIGNALS, Limits, Supervisor, take_down
from eventd.compose.process_watch import Watch
from eventd.platform.sdnotify import Notifier

_PRIORITY = {"error": 3, "warning": 4, "info": 6}


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status: 0, 1 for a negative document, 2 for wrong usage, else that of `Reason`."""
    options = _parser().parse_args(arguments)
    stack = Stack(
        project=options.project,
        files=tuple(options.file),
        env_files=tuple(options.env_file),
        needed=tuple(options.needs_file),
        provider=options.provider,
        unit=options.unit,
    )
    try:
        status: int = options.work(stack, options)
    except StackError as error:
        _log("error", f"{error.why.word}: {error}")
        status = error.why.value
    return status


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--file", action="append", required=True, metavar="PATH", help="compose file; repeatable"
    )
    common.add_argument("--project", required=True, metavar="NAME", help="compose project")
    common.add_argument(
        "--env-file",
        action="append",
        default=[],
        metavar="PATH",
        help="variables of the compose file; repeatable",
    )
    common.add_argument(
        "--needs-file",
        action="append",
        default=[],
        metavar="PATH",
        help="another file that must be readable; repeatable",
    )
    common.add_argument(
        "--provider", default="/usr/bin/docker-compose", metavar="PATH", help="default: %(default)s"
    )
    common.add_argument("--unit", default="", metavar="UNIT", help="the unit that owns the stack")
    limits = Limits()
    common.add_argument(
        "--deadline", type=float, default=limits.deadline, metavar="SECONDS", help="default: 120"
    )
    common.add_argument(
        "--stop-timeout", type=float, default=limits.stop, metavar="SECONDS", help="default: 90"
    )
    parser = argparse.ArgumentParser(
        prog="eventd-compose", description="Runs a compose stack as a service, or inspects it once."
    )
    words = parser.add_subparsers(required=True, metavar="COMMAND")
    run = words.add_parser("run", parents=[common], help="start the stack, and run for as long as it is up")
    run.add_argument("--settle", type=float, default=limits.settle, metavar="SECONDS", help="default: 1")
    run.add_argument("--grace", type=float, default=limits.grace, metavar="SECONDS", help="default: 5")
    run.set_defaults(work=_run)
    for name, work, text in (
        ("check", _check, "report what is stale, foreign, unhealthy or missing; changes nothing"),
        ("digests", _digests, "print the images that the services want, have and run"),
        ("pull", _pull, "pull every image, and report failures; --deadline applies to each"),
        ("restore", _restore, "tag images as in an earlier `digests` document on standard input"),
        ("down", _down, "stop and remove the stack's containers and networks; volumes stay"),
    ):
        words.add_parser(name, parents=[common], help=text).set_defaults(work=work)
    return parser


def _run(stack: Stack, options: argparse.Namespace) -> int:
    notify = Notifier.from_environment(os.environ, blocking=True)
    limits = Limits(
        deadline=options.deadline, settle=options.settle, grace=options.grace, stop=options.stop_timeout
    )
    with Watch(SIGNALS) as watch:
        return Supervisor(Podman(stack), watch, notify, _log, limits, os.getuid()).run()


def _check(stack: Stack, options: argparse.Namespace) -> int:
    # Reads YAML, which the supervisor never needs.
    from eventd.compose import process_images as images  # noqa: PLC0415

    podman = Podman(stack)
    files = unreadable(stack)
    found = podman.containers()
    now = time.time()
    wanted = () if files else tuple(images.services(podman))
    standing = verdict.judge(found, now=now, settle=0.0, expected=wanted)
    left = verdict.leftovers(found, unit=stack.unit, now=now, stuck_after=options.deadline)
    refused = verdict.refuse_foreign(left, podman.is_active)
    document = {
        "project": stack.project,
        "up": standing.up,
        "unreadable": list(files),
        "findings": [asdict(one) for one in standing.findings],
        "leftovers": [
            {"name": one.container.name, "why": one.why, "foreign": one.foreign, "refused": one in refused}
            for one in left
        ],
    }
    return _answer(document, good=standing.up and not left and not files)


def _digests(stack: Stack, _: argparse.Namespace) -> int:
    # Reads YAML, which the supervisor never needs.
    from eventd.compose import process_images as images  # noqa: PLC0415

    return _answer(images.digests(Podman(stack)), good=True)


def _pull(stack: Stack, options: argparse.Namespace) -> int:
    # Reads YAML, which the supervisor never needs.
    from eventd.compose import process_images as images  # noqa: PLC0415

    document = images.pull(Podman(stack), timeout=options.deadline)
    return _answer(document, good=document["ok"])


def _restore(stack: Stack, _: argparse.Namespace) -> int:
    # Reads YAML, which the supervisor never needs.
    from eventd.compose import process_images as images  # noqa: PLC0415

    try:
        wanted = json.load(sys.stdin)
        document = images.restore(Podman(stack), wanted)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StackError(Reason.PODMAN, "standard input is not a `digests` document") from error
    return _answer(document, good=document["ok"])


def _down(stack: Stack, options: argparse.Namespace) -> int:
    until = time.monotonic() + options.stop_timeout
    take_down(Podman(stack), lambda: max(until - time.monotonic(), 1.0))
    return 0


def _answer(document: dict[str, Any], *, good: bool) -> int:
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0 if good else 1


def _log(level: str, text: str) -> None:
    # systemd sets it if the output goes to the journal (systemd.exec(5)); <N> is the priority prefix of sd-daemon(3).
    prefix = f"<{_PRIORITY[level]}>" if "JOURNAL_STREAM" in os.environ else ""
    sys.stderr.write(f"{prefix}{text}\n")
    sys.stderr.flush()
