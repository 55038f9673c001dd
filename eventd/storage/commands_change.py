"""`eventctl storage eject|attach|decommission NAME`: requests it, follows the run, and prints the volume's state.

The result is the volume's state, not the run's: a run may succeed with a disk that is not safe to remove.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes, show
from eventd.cli.follow import watch
from eventd.cli.text import clean
from eventd.client import Client, at
from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal

VERBS = ("eject", "attach", "decommission")
_WANTED = {"eject": ("ejected",), "attach": ("attached",), "decommission": ("decommissioned",)}


def run(verb: str, name: str, arguments: Any, terminal: Terminal) -> int:
    """Run the command; the exit code says whether the volume is in the requested state."""
    client = Client(arguments.socket)
    path = at("storage", name, verb)
    if arguments.no_wait:
        answer: Json = client.post(path, {"wait": False})
        if arguments.json:
            terminal.json(answer)
        else:
            terminal.line(f"queued; `eventctl storage {clean(name)}` shows the outcome")
        return codes.AS_WANTED
    watch(client, path, {"wait": True}, arguments, terminal)
    volume = volume_of(client, name)
    if arguments.json:
        terminal.ndjson({"type": "volume", "volume": volume})
    else:
        print_result(terminal, verb, volume)
    if volume.get("state") in _WANTED[verb]:
        return codes.AS_WANTED
    return codes.HELD if verb == "attach" and volume.get("state") == "disconnected" else codes.NOT_CONVERGED


def volume_of(client: Client, name: str) -> Json:
    """Return the volume's row from the daemon."""
    document: Json = client.get(at("storage"))
    for volume in show.items(document, "volumes"):
        if volume.get("name") == name:
            found: Json = volume
            return found
    raise PermanentError(f"there is no volume {name!r}", reason="no-such-volume")


def print_result(terminal: Terminal, verb: str, volume: Json) -> None:
    """Print the volume's state after the run."""
    name, state = clean(volume.get("name", "")), clean(volume.get("state", ""))
    device = clean(volume.get("device", ""))
    where = f" ({device})" if device else ""
    match state:
        case "ejected":
            terminal.line(clean(volume.get("message", "")) or f"it is safe to remove {name}{where}")
            if volume.get("migrated_to"):
                terminal.line(f"  hint: {clean(volume.get('hint', ''))}")
            terminal.line(f"  to use it again: eventctl storage attach {name}")
        case "decommissioned":
            terminal.line(f"{name} is decommissioned: it is safe to remove{where}, and its data stays")
            if volume.get("wanted") != "decommissioned":
                terminal.line("  for good, write in storage.toml:")
                terminal.line(f"    [volume.{name}]")
                terminal.line('    state = "decommissioned"')
        case "attached":
            terminal.line(f"{name} is attached: {device} at {clean(volume.get('path', ''))}")
        case _:
            verdict = "it is NOT safe to remove" if verb == "eject" else ""
            lead = f"{name} is {state}" + (f"; {verdict}" if verdict else "")
            terminal.line(lead)
            show.problem(terminal, volume, "  ")
