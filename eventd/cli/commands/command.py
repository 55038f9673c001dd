"""What a command is to the parser, and the options and types that several commands share."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from eventd.repository import model_object_ids as object_ids

if TYPE_CHECKING:
    from collections.abc import Callable


class Group(StrEnum):
    """Headings in the help, in their order."""

    SHOW = "show the state of the host"
    WITHIN = "inspect a workload, as its account"
    ACT = "change something"
    DATA = "volumes, data and approvals"
    CHECK = "check a repository, or this host"


class Command:
    """One command: `module` has `run`, `arguments` adds its options, `group` is where the help lists it.

    `takes_words`: what follows `--` is a command line of its own, in `words`.
    """

    def __init__(
        self,
        name: str,
        module: str,
        summary: str,
        description: str,
        examples: str,
        arguments: Callable[[Any], None],
        *,
        group: Group,
        takes_words: bool = False,
    ) -> None:
        self.name = name
        self.summary = summary
        self.description = description
        self.examples = examples
        self.arguments = arguments
        self.group = group
        self.takes_words = takes_words
        self.module = module


def seconds(text: str) -> float:
    """Return a duration in seconds; raises ValueError."""
    value = float(text)
    if not 0 < value <= 86400:
        raise ValueError(text)
    return value


def sequence(text: str) -> int:
    """Return an event's sequence number; raises ValueError."""
    value = int(text)
    if value < 0:
        raise ValueError(text)
    return value


def commit(text: str) -> str:
    """Return a commit id, full or abbreviated; raises ValueError. The daemon resolves no other name for a commit."""
    if not re.fullmatch(object_ids.ABBREVIATED, text):
        raise ValueError(text)
    return text


def full_commit(text: str) -> str:
    """Return a full commit id (SHA-1 or SHA-256); raises ValueError."""
    if not re.fullmatch(object_ids.WHOLE, text):
        raise ValueError(text)
    return text


def up_to(most: int) -> Callable[[str], int]:
    """Return the type of a count from 1 to `most`."""

    def count(text: str) -> int:
        value = int(text)
        if not 0 < value <= most:
            raise ValueError(text)
        return value

    count.__name__ = f"number (1 to {most})"
    return count


# argparse names the type in its message: "invalid SECONDS value".
seconds.__name__ = "SECONDS (more than 0, up to 86400)"
sequence.__name__ = "sequence number"
commit.__name__ = "commit id (`git rev-parse`, 7 digits or more)"
full_commit.__name__ = "full commit id (`git rev-parse`)"


def no_options(parser: Any) -> None:
    """Add nothing."""
    del parser


def patience(parser: Any, when: str = "", *, default: float = 900.0) -> None:
    """Add `--timeout`; `when`: the option it needs to have an effect, `default`: seconds."""
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=default,
        metavar="SECONDS",
        help=f"{when}how long the daemon may stay silent before eventctl gives up (default: %(default)g)",
    )


def wait(parser: Any) -> None:
    """Add `--wait`, for a command that leads to a run."""
    parser.add_argument(
        "--wait", action="store_true", help="wait for the run, show its progress, exit by its result"
    )


def waits(parser: Any) -> None:
    """Add `--wait` and its `--timeout`."""
    wait(parser)
    patience(parser, "with --wait: ")
