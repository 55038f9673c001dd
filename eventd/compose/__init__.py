"""A compose stack as one service of a user's manager: `eventd-compose`, the main process of `<stack>.service`.

It runs as the workload's user, one for each stack, for as long as the stack is up; so it imports little and
starts fast. `containers.py`, `verdict.py`, `events.py` and `images.py` are functions over what podman prints;
`podman.py` runs programs; `supervise.py` is the life of the service; `command.py` reads the arguments.

It knows nothing of the daemon: the contract between them is the unit, its exit status and these documents.
Why a supervisor, and not a oneshot unit: docs/adr/0008-compose-unit-design.md.
"""

from eventd.compose.command import main

__all__ = ["main"]
