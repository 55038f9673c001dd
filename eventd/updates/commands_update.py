"""`eventctl update [WORKLOAD] [--check] [--wait]`: update images, and verify them or roll back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.follow import watch
from eventd.cli.text import clean, count
from eventd.client import Client, at
from eventd.updates.commands_images import show_images

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Send the request; with --wait the exit code is the run's, with --check it says whether there is a newer image."""
    name, client = arguments.workload, Client(arguments.socket, timeout=arguments.timeout)
    if arguments.when_up > 0:
        # Imports inotify, which is rarely needed.
        from eventd.cli.wait_for_daemon import await_daemon  # noqa: PLC0415

        await_daemon(client.path, arguments.when_up)
    if arguments.check:
        path = at("images", name) if name else at("images")
        document: Json = client.get(path, {"check": 1})
        if arguments.json:
            terminal.json(document)
        else:
            show_images(terminal, document, check=True)
        return _code(document)
    path = at("update", name) if name else at("update")
    if arguments.wait:
        return watch(client, path, {"wait": True, "retry": arguments.retry}, arguments, terminal)
    answer: Json = client.post(path, {"wait": False, "retry": arguments.retry})
    if arguments.json:
        terminal.json(answer)
    else:
        what = clean(name) if name else count(len(answer.get("workloads", [])), "workload")
        terminal.line(f"queued: {what}; `eventctl images` shows the outcome")
    return codes.AS_WANTED


def _code(document: Json) -> int:
    rows = [image for each in document["workloads"] for image in each["images"]]
    if any(each["error"] for each in document["workloads"]) or any(row["newer_error"] for row in rows):
        return codes.NOT_CONVERGED
    return codes.HELD if any(row["newer"] for row in rows) else codes.AS_WANTED
