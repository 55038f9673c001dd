"""`eventctl storage migrate NAME --to OTHER` and `forget-data NAME`: requests it, and follows its phases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.text import clean
from eventd.client import Client, at
from eventd.kernel.model.errors import DisconnectedError, PermanentError
from eventd.storage.commands_change import volume_of

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal

VERBS = ("migrate", "forget-data")
IDLE = 7 * 86400.0
"""Seconds that a phase may take: copying a large disk prints nothing until it is done."""
_PHASES = {
    "prepare": "checking the free space",
    "quiesce": "stopping what uses it, and unmounting it",
    "copy": "copying",
    "verify": "comparing everything, byte by byte",
    "switch": "switching over",
    "undo": "returning to the old disk",
}


def run(verb: str, name: str, arguments: Any, terminal: Terminal) -> int:
    """Carry out the action."""
    client = Client(arguments.socket)
    if verb == "forget-data":
        return _forget(client, name, arguments, terminal)
    if not arguments.abort and not arguments.to:
        raise PermanentError(
            "migrate needs --to", reason="usage", hint=f"eventctl storage migrate {name} --to OTHER"
        )
    path = at("storage", name, "migrate")
    body: dict[str, Any] = {"to": arguments.to, "abort": arguments.abort, "wait": not arguments.no_wait}
    if arguments.no_wait:
        answer: Json = client.post(path, body)
        if arguments.json:
            terminal.json(answer)
        else:
            terminal.line(f"begun; `eventctl storage {clean(name)}` shows how far it is")
        return codes.AS_WANTED
    return _follow(client, path, body, name, arguments, terminal)


def _follow(
    client: Client, path: str, body: dict[str, Any], name: str, arguments: Any, terminal: Terminal
) -> int:
    # A phase may take hours, and says nothing meanwhile.
    with client.stream("POST", path, body=body, idle=IDLE) as stream:
        phase = ""
        for message in stream:
            if arguments.json:
                terminal.ndjson(message)
            row: Json = message.get("migration") or {}
            match message.get("type"):
                case "migration" if row.get("phase") != phase and not arguments.json:
                    phase = str(row.get("phase", ""))
                    if phase in _PHASES:
                        size = (
                            f" ({row['bytes'] / (1 << 20):.1f} MiB)"
                            if phase == "copy" and row.get("bytes")
                            else ""
                        )
                        terminal.line(f"{clean(name)}: {_PHASES[phase]}{size}")
                        terminal.out.flush()
                case "done":
                    if not arguments.json:
                        _print_phase(terminal, name, row)
                    done = row.get("phase") == ("failed" if arguments.abort else "done")
                    return codes.AS_WANTED if done else codes.NOT_CONVERGED
                case "error":
                    raise DisconnectedError(
                        clean(message.get("message", "")),
                        reason=clean(message.get("reason", "error")),
                        hint=f"it goes on without eventctl: eventctl storage {name}",
                    )
                case _:
                    pass
    raise DisconnectedError(
        "the daemon ended the answer", hint=f"it goes on without eventctl: eventctl storage {name}"
    )


def _print_phase(terminal: Terminal, name: str, row: Json) -> None:
    if row.get("phase") == "done":
        terminal.line(
            f"{clean(name)} is on {clean(row.get('to', ''))} now: {row.get('files')} files, all the same"
        )
        for line in _next_steps(name, row):
            terminal.line(line)
        return
    terminal.line(f"{clean(name)} stays on its old disk: {clean(row.get('error', ''))}")
    if row.get("hint"):
        terminal.line(f"  hint: {clean(row['hint'])}")


def _next_steps(name: str, row: Json) -> Iterator[str]:
    yield "  for good, write in storage.toml:"
    yield f"    [volume.{clean(name)}]"
    yield f'    migrated_to = "{clean(row.get("to", ""))}"'
    yield f"  the old disk ({clean(row.get('old_id', ''))}) keeps what is on it, unmounted, until:"
    yield f"    eventctl storage forget-data {clean(name)}"


def status_lines(volume: Json) -> Iterator[str]:
    """Yield the lines of `eventctl storage` about a volume's last migration."""
    row, name = volume.get("migration") or {}, clean(volume.get("name", ""))
    if not row:
        return
    match row.get("phase"):
        case "done":
            if volume.get("manifest_migrated_to") != row.get("to"):
                yield f"{name} is on {clean(row.get('to', ''))}:"
                yield from _next_steps(name, row)
            elif not row.get("forgotten"):
                yield f"{name}: the old disk ({clean(row.get('old_id', ''))}) keeps what is on it, until forget-data"
        case "failed":
            yield f"{name} was to be moved to {clean(row.get('to', ''))}: {clean(row.get('error', ''))}"
        case phase:
            share = volume.get("copied")
            so_far = f", {share:.0%}" if isinstance(share, float) else ""
            doing = _PHASES.get(str(phase), clean(phase))
            yield f"{name} is being moved to {clean(row.get('to', ''))}: {doing}{so_far}"


def _forget(client: Client, name: str, arguments: Any, terminal: Terminal) -> int:
    answer: Json = client.post(at("storage", name, "forget-data"), {})
    if arguments.json:
        terminal.json({**answer, "volume": volume_of(client, name)})
    else:
        terminal.line("the data on the old disk is deleted once that is approved: eventctl approvals")
    return codes.HELD
