"""Moving volumes: the port `storage.model_ports.Moves`, by units of the system's manager.

Copying a disk takes hours, so it runs in a transient unit: a restarted daemon finds the unit again by its name. The
unit stays loaded after its end (`RemainAfterExit=`), so that its result survives restarts of the daemon. It sees the
host read-only, has no homes and no network, and only the capabilities for creating files of any owner.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any

import anyio.to_thread

from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.mounts.adapter_transient_mounts import Manager
from eventd.platform.model_facts import ActiveState
from eventd.platform.systemd.ports import Verb
from eventd.storage.plan_migration import Job, job_unit, message_of

TOOL = "/usr/bin/eventd-volume"
CALL_TIMEOUT = 60.0
DELETE_TIMEOUT = 600.0
"""Seconds of deleting per attempt; the next attempt continues."""
RIGHTS = ("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "SETFCAP")
_SECURE = (
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "NoNewPrivileges",
    "PrivateDevices",
    "PrivateNetwork",
    "PrivateTmp",
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "RestrictRealtime",
)
_CAPABILITIES = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "DAC_READ_SEARCH": 2,
    "FOWNER": 3,
    "FSETID": 4,
    "SETFCAP": 31,
}
"""Numbers of capabilities(7), for the bit mask that D-Bus takes."""


Order = Callable[[dict[str, object], str], Awaitable[str]]


class UnitMoves:
    """The port. `order`: sends a request to `eventd-volume@.service`. `folder`: for the jobs' results, root's only."""

    def __init__(self, system: Manager, order: Order, folder: str) -> None:
        self._system = system
        self._order = order
        self._folder = folder

    async def prepare(self, source: str, target: str, name: str) -> tuple[int, int]:
        """Create the folder of the copy; see the port."""
        order: dict[str, object] = {"do": "prepare", "source": source, "target": target, "name": name}
        said = json.loads(await self._order(order, f"prepare a copy on {target}"))
        return int(said["bytes"]), int(said["files"])

    async def settle(self, target: str, name: str) -> None:
        """Move the copy into place; see the port."""
        await self._order(
            {"do": "settle", "target": target, "name": name}, f"move the copy on {target} into place"
        )

    async def start(self, job: Job, name: str, source: str, target: str) -> None:
        """Start a job; see the port."""
        unit = job_unit(job, name)
        await anyio.to_thread.run_sync(_make, self._folder)
        properties: list[tuple[str, str, Any]] = [
            ("Description", "s", f"{job.value.capitalize()} of the volume {name} of eventd"),
            ("Type", "s", "exec"),
            ("RemainAfterExit", "b", True),
            ("ExecStart", "a(sasb)", [[TOOL, [TOOL, "job", job.value, name, source, target], False]]),
            ("StandardOutputFileToTruncate", "s", self._said(unit)),
            ("ProtectSystem", "s", "strict"),
            ("ProtectHome", "s", "yes"),
            ("ReadWritePaths", "as", [target]),
            ("InaccessiblePaths", "as", ["-/var/lib/eventd", "-/var/lib/eventd-git", "-/etc/credstore"]),
            ("RestrictAddressFamilies", "(bas)", [True, ["AF_UNIX"]]),
            ("CapabilityBoundingSet", "t", sum(1 << _CAPABILITIES[each] for each in RIGHTS)),
            ("IOSchedulingPriority", "i", 7),
            ("Nice", "i", 10),
            *((key, "b", True) for key in _SECURE),
        ]
        try:
            result = await self._system.start_transient(unit, properties, timeout=CALL_TIMEOUT)
        except EventdError as error:
            if error.reason != "unit-exists":
                raise
            return  # it runs already, started by the previous daemon
        if not result.done:
            raise TemporaryError(
                f"{unit} did not start: its job ended with {result.result}",
                reason="job-failed",
                hint=f"journalctl -u {unit}",
            )

    async def end(self, job: Job, name: str) -> str:
        """Stop and forget a job; see the port."""
        unit = job_unit(job, name)
        state = await self._system.read_unit(unit)
        if state.active is not ActiveState.INACTIVE and state.active is not ActiveState.FAILED:
            await self._system.job(Verb.STOP, unit, timeout=CALL_TIMEOUT * 2)
        await self._system.reset_failed(unit)
        return await anyio.to_thread.run_sync(_take, self._said(unit))

    async def delete(self, job: Job, name: str, path: str) -> None:
        """Delete; see the port."""
        unit = job_unit(job, name)
        await anyio.to_thread.run_sync(_make, self._folder)
        with contextlib.suppress(EventdError):
            await self.end(job, name)
        properties: list[tuple[str, str, Any]] = [
            ("Description", "s", f"Delete data of the volume {name} of eventd"),
            ("Type", "s", "oneshot"),
            ("ExecStart", "a(sasb)", [[TOOL, [TOOL, "job", job.value, name, path, path], False]]),
            ("TimeoutStartUSec", "t", int(DELETE_TIMEOUT * 0.9 * 1e6)),
            ("StandardOutputFileToTruncate", "s", self._said(unit)),
            ("CollectMode", "s", "inactive-or-failed"),
            ("ProtectSystem", "s", "strict"),
            ("ProtectHome", "s", "yes"),
            ("ReadWritePaths", "as", [path]),
            ("CapabilityBoundingSet", "t", sum(1 << _CAPABILITIES[each] for each in RIGHTS)),
            *((key, "b", True) for key in _SECURE),
        ]
        result = await self._system.start_transient(unit, properties, timeout=DELETE_TIMEOUT)
        said = await anyio.to_thread.run_sync(_take, self._said(unit))
        if not result.done:
            message, hint = message_of(said)
            raise TemporaryError(
                f"the data on {path} is not deleted yet: {message or result.result}",
                reason="not-deleted",
                hint=hint or f"journalctl -u {unit}",
            )

    def _said(self, unit: str) -> str:
        return f"{self._folder}/{unit}.out"


def _make(folder: str) -> None:
    os.makedirs(folder, mode=0o700, exist_ok=True)  # noqa: PTH103


def _take(path: str) -> str:
    try:
        with open(path) as file:  # noqa: PTH123
            said = file.read(65536).strip()
        os.unlink(path)  # noqa: PTH108
    except FileNotFoundError:
        return ""
    return said
