"""Mount points and folders on volumes: the port `storage.model_ports.MountPoints`, by `eventd-volume@.service`.

The daemon's sandbox sees the host read-only, and a permanent process should not have the right to make files immutable.
So a request is written to /run/eventd/volume, a unit with just these rights carries it out and reports the result in
one line, and both files are removed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os

import anyio.to_thread

from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError
from eventd.platform.file_state import file_error
from eventd.platform.systemd.ports import JobResult, Manager, Verb
from eventd.storage.model_holders import Holder
from eventd.storage.model_ports import Keeping
from eventd.unitfiles.model_programs import LINK

PROGRAM = "/usr/bin/eventd-volume"
"""What the units run."""
TIMEOUT = 30.0
"""Seconds. Only a disk that does not answer takes that long."""


class HelperMountPoints:
    """The port. `folder`: where requests are written, accessible to root only."""

    def __init__(self, system: Manager, folder: str) -> None:
        self._system = system
        self._folder = folder
        self._numbers = itertools.count(1)

    async def seal(self, path: str) -> None:
        """Seal a mount point; see the port."""
        await self.order({"do": "seal", "path": path}, f"seal {path}")

    async def folder(self, mount: str, name: str, uid: int, gid: int) -> None:
        """Create a folder; see the port."""
        order = {"do": "folder", "mount": mount, "name": name, "uid": uid, "gid": gid}
        await self.order(order, f"make {mount}/{name}")

    async def unseal(self, path: str) -> bool:
        """Remove a sealed mount point; see the port."""
        said = await self.order({"do": "unseal", "path": path}, f"unseal {path}")
        try:
            return json.loads(said)["became"] in ("removed", "opened")
        except (ValueError, KeyError, TypeError) as error:
            raise TemporaryError(
                f"cannot parse the helper's answer about {path}",
                reason="volume-helper-failed",
            ) from error

    async def renew(self, path: str) -> None:
        """Replace a mount point; see the port."""
        await self.order({"do": "renew", "path": path}, f"replace the mount point {path}")

    async def holders(self, numbers: tuple[str, ...]) -> tuple[Holder, ...]:
        """Find the processes that use a file system; see the port."""
        return (await self._run_holders((), numbers, mounts=False)).holders

    async def keeping(self, nodes: tuple[str, ...], numbers: tuple[str, ...]) -> Keeping:
        """Find what keeps a file system in use; see the port."""
        return await self._run_holders(nodes, numbers, mounts=True)

    async def _run_holders(
        self, nodes: tuple[str, ...], numbers: tuple[str, ...], *, mounts: bool
    ) -> Keeping:
        order = {"do": "holders", "nodes": list(nodes), "numbers": list(numbers), "mounts": mounts}
        said = await self.order(order, "find out who uses it", "eventd-holders")
        try:
            found = json.loads(said)
            holders = tuple(_holder(row) for row in found["holders"])
            return Keeping(holders, tuple(str(each) for each in found.get("claimed", ())))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TemporaryError(
                "cannot parse the helper's answer about who uses it",
                reason="volume-helper-failed",
            ) from error

    async def sweep(self, uid: int, subuid: tuple[int, int], *, timeout: float) -> tuple[str, ...]:
        """Remove what an account owns outside of its home. Returns what remains, each as a path with the reason."""
        order: dict[str, object] = {"do": "sweep", "uid": uid, "subuid": list(subuid)}
        said = await self.order(order, "remove what the account left behind", "eventd-sweep", timeout=timeout)
        try:
            found = json.loads(said)
            more = (f"and {int(found['more'])} more",) if found["more"] else ()
            return (*map(str, found["stays"]), *more)
        except (ValueError, KeyError, TypeError) as error:
            raise TemporaryError(
                "cannot parse the helper's answer about what the account left behind",
                reason="volume-helper-failed",
            ) from error

    async def order(
        self, order: dict[str, object], what: str, unit: str = "eventd-volume", *, timeout: float = TIMEOUT
    ) -> str:
        """Send a request to the helper and return its answer. `what`: describes the request in errors."""
        # With the process id: a daemon that was killed may have left a unit with the same number running.
        instance = f"{os.getpid()}-{next(self._numbers)}"
        path, answer = f"{self._folder}/{instance}.json", f"{self._folder}/{instance}.out"
        unit = f"{unit}@{instance}.service"
        try:
            await anyio.to_thread.run_sync(_write, path, json.dumps(order))
            result = await self._system.job(Verb.START, unit, timeout=timeout)
            said = await anyio.to_thread.run_sync(_read, answer)
        except OSError as error:
            raise file_error(error, "write", path) from error
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_remove, path, answer)
        _judge(what, unit, result, said)
        return said


def _holder(row: dict[str, str | int]) -> Holder:
    return Holder(int(row["pid"]), str(row["command"]), str(row["how"]), int(row["uid"]), str(row["cgroup"]))


def _judge(what: str, unit: str, result: JobResult, said: str) -> None:
    if result.result == "done":  # `skipped`: the order was removed before it was read
        return
    found: dict[str, str] = {}
    try:
        found = json.loads(said)
    except ValueError:
        if not os.path.exists(PROGRAM):  # noqa: PTH110  plain os, as all here
            raise TemporaryError(
                f"cannot {what}: {PROGRAM}, which {unit} runs, does not exist (203/EXEC)",
                reason="program-missing",
                hint=LINK,
            ) from None
        raise TemporaryError(
            f"cannot {what}: the job of {unit} ended with {result.result}",
            reason="volume-helper-failed",
            hint=f"journalctl -u {unit}",
        ) from None
    message, reason = (
        f"cannot {what}: {found.get('message', '')}",
        found.get("reason", "volume-helper-failed"),
    )
    kind: type[EventdError] = TemporaryError if found.get("temporary") else PermanentError
    raise kind(message, reason=reason, hint=found.get("hint", ""))


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120  plain os, as all here
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)


def _read(path: str) -> str:
    try:
        with open(path) as file:  # noqa: PTH123
            return file.read(65536).strip()
    except FileNotFoundError:
        return ""


def _remove(*paths: str) -> None:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # noqa: PTH108
