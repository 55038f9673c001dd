"""`eventctl images [WORKLOAD]`: the images that run, and what the last update did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventd.cli import codes
from eventd.cli.text import ago, clean
from eventd.client import Client, at

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal


def run(arguments: Any, terminal: Terminal) -> int:
    """Show the images; 0 unless a user's podman did not answer."""
    name = arguments.workload
    client = Client(arguments.socket, timeout=arguments.timeout)
    document: Json = client.get(at("images", name) if name else at("images"))
    if arguments.json:
        terminal.json(document)
    else:
        show_images(terminal, document, check=False)
    failed = any(each["error"] for each in document["workloads"])
    return codes.NOT_CONVERGED if failed else codes.AS_WANTED


def show_images(terminal: Terminal, document: Json, *, check: bool) -> None:
    """Write one line per container, then what failed."""
    rows = []
    for each in document["workloads"]:
        for image in each["images"]:
            running, local = image["running"] or "", image["id"] or ""
            rows.append(
                [
                    clean(each["name"]),
                    clean(image["container"]),
                    clean(image["image"]),
                    clean(running)[:12] or "not running",
                    _note(image, local, running, check=check),
                ]
            )
    terminal.table(("WORKLOAD", "CONTAINER", "IMAGE", "RUNS", ""), rows)
    for each in document["workloads"]:
        if each["error"]:
            terminal.paragraph(f"{clean(each['name'])}: {clean(each['error'])}", style="red")
        last = each["last_update"]
        if last and not last["ok"]:
            when = ago(last["at"], terminal.now)
            terminal.paragraph(
                f"{clean(each['name'])}: the last update failed {when}: {clean(last['message'])}", style="red"
            )
        if each["pending"]:
            terminal.line(f"{clean(each['name'])}: an update is in progress")


def _note(image: Json, local: str, running: str, *, check: bool) -> str:
    if image["fixed"]:
        return clean(image["fixed"])
    if check and image["newer_error"]:
        return clean(image["newer_error"])
    if check:
        return "newer in the registry" if image["newer"] else "up to date"
    return f"pulled {local[:12]}, not running yet" if local and running and local != running else ""
