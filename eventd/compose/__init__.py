"""A compose stack as one service of a user manager: `eventd-compose`, the main process of `<stack>.service`.

It runs as the workload's user, one process per stack, for as long as the stack is up; so it imports little and starts
fast. `process_containers.py`, `process_verdict.py`, `process_events.py` and `process_images.py` are functions over
podman's output; `process_podman.py` runs programs; `process_supervise.py` is the service's life cycle; `process.py`
parses the arguments.

It does not know the daemon: the contract between them is the unit, its exit status and its JSON documents.
Why a supervisor, and not a oneshot unit: docs/adr/0008-compose-unit-design.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the console script `eventd-compose`; its arguments are those of the process."""
    from eventd.compose.process import main as run  # noqa: PLC0415  the daemon reads compose files too

    return run(arguments)
