"""Containers for the tests: recorded from podman 5.4.2 (cut to what is looked at), and made up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from eventd.compose.process_containers import Container, containers

RECORDED = Path(__file__).parent / "recorded"


def documents(name: str) -> list[dict[str, Any]]:
    """Return what `podman container inspect` printed."""
    found: list[dict[str, Any]] = json.loads((RECORDED / f"{name}.json").read_text())
    return found


def recorded(name: str) -> dict[str, Container]:
    """Return recorded containers by service."""
    return {one.service: one for one in containers(documents(name))}


def made(service: str = "web", **fields: Any) -> Container:
    """Return a container that has run for long, unless told otherwise."""
    values: dict[str, Any] = {
        "id": f"{service:0<64}",
        "name": f"demo-{service}-1",
        "service": service,
        "state": "running",
        "health": "",
        "exit_code": 0,
        "started": 1000.0,
        "restarts": 0,
        "restart_policy": "no",
        "unit": "",
        "conmon": 0,
        "image": "localhost/busybox:1",
        "image_id": "3c5e",
        "depends": (),
        "completes": False,
    }
    return Container(**(values | fields))
