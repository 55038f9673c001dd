"""`eventctl exec WORKLOAD [CONTAINER] -- COMMAND`: run a command in a container, as its account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.containers import commands_as_account as as_account
from eventd.containers import commands_containers as containers
from eventd.containers import commands_inside as inside
from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Run the command; the exit code is the command's."""
    del terminal  # the command writes its own output
    if not arguments.words:
        hint = f"eventctl exec {arguments.workload} [CONTAINER] -- COMMAND [ARGUMENT ...]"
        raise PermanentError("exec needs a command", reason="usage", hint=hint)
    who = as_account.account(arguments.workload, "exec")
    there = containers.meant(containers.of_account(who), arguments.container, who.name)
    tty = inside.has_terminal() and not arguments.no_tty
    return inside.run(
        who, ["podman", "exec", "-it" if tty else "-i", there.id, *arguments.words], terminal=tty
    )
