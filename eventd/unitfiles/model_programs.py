"""The programs that a unit file runs: the first word of each Exec…= line (systemd.service(5)). Pure."""

from __future__ import annotations

from collections.abc import Iterator

from eventd.unitfiles.model import parse

LINK = "ln -sf /opt/eventd/bin/event* /usr/bin/, as in docs/how-to/install.md"
"""What to do if a program of eventd is not in its place."""
_PREFIXES = "@-:+!|"
_KEYS = (
    *(
        "ExecCondition",
        "ExecStartPre",
        "ExecStart",
        "ExecStartPost",
        "ExecReload",
        "ExecStop",
        "ExecStopPost",
    ),
)


def programs(content: bytes, file: str) -> Iterator[str]:
    """Yield the path of each program that a unit file or drop-in runs; names without a path are left out.

    A later empty assignment is ignored: this only serves to check whether programs exist.
    """
    unit = parse(content, file)
    for key in _KEYS:
        for line in unit.entries("Service", key):
            word = line.value.strip().lstrip(_PREFIXES).split(maxsplit=1)
            path = word[0].strip("\"'") if word else ""
            if path.startswith("/") and "%" not in path and "$" not in path:
                yield path
