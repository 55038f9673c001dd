"""`eventctl metrics`: the daemon's metrics in Prometheus' text format, or as JSON."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.text import clean_lines
from eventd.client import Client

if TYPE_CHECKING:
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Show the answer of the daemon."""
    text = Client(arguments.socket).text("/metrics")
    if arguments.json:
        terminal.json({"metrics": _families(text)})
    else:
        terminal.out.write(clean_lines(text))
    return codes.AS_WANTED


def _families(text: str) -> list[dict[str, Any]]:
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    return [
        {
            "name": family.name,
            "type": family.type,
            "help": family.documentation,
            "samples": [
                {"name": sample.name, "labels": dict(sample.labels), "value": _number(sample.value)}
                for sample in family.samples
            ],
        }
        for family in text_string_to_metric_families(text)
    ]


def _number(value: float) -> float | str:
    """Return a value for JSON, which has neither NaN nor infinity."""
    return value if math.isfinite(value) else str(value)
