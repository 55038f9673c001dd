"""Mount points and folders on volumes: the port `storage.model_ports.MountPoints`, by `eventd-volume@.service`.

The daemon's sandbox sees the host read-only, and a program that runs all the time needs no right to make files
immutable. So an order is written to /run/eventd/volume, a unit with just these rights carries it out and says in one
line how that went, and both files are removed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os

import anyio.to_thread

from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError
from eventd.platform.file_state import translate
from eventd.platform.systemd.ports import JobResult, Manager, Verb
from eventd.storage.model_holders import Holder
from eventd.storage.model_ports import Keeping
from eventd.unitfiles.model_programs import LINK

PROGRAM = "/usr/bin/eventd-volume"
"""What the units run."""
TIMEOUT = 30.0
"""Seconds. What takes that long is a disk that does not answer."""


class HelperMountPoints:
    """The port. `folder`: where orders are written, root's alone."""

    def __init__(self, system: Manager, folder: str) -> None:
        self._system = system
        self._folder = folder
        self._numbers = itertools.count(1)

    async def seal(self, path: str) -> None:
        """Seal a mount point; see the port."""
        await self.order({"do": "seal", "path": path}, f"seal {path}")

    async def folder(self, mount: str, name: str, uid: int, gid: int) -> None:
        """Make a folder; see the port."""
        order = {"do": "folder", "mount": mount, "name": name, "uid": uid, "gid": gid}
        await self.order(order, f"make {mount}/{name}")

    async def unseal(self, path: str) -> bool:
        """Take a sealed mount point away; see the port."""
        said = await self.order({"do": "unseal", "path": path}, f"unseal {path}")
        try:
            return json.loads(said)["became"] in ("removed", "opened")
        except (ValueError, KeyError, TypeError) as error:
            raise TemporaryError(
                f"what became of {path} is not known: the helper's answer is not understood",
                reason="volume-helper-failed",
            ) from error

    async def renew(self, path: str) -> None:
        """Make a mount point anew; see the port."""
        await self.order({"do": "renew", "path": path}, f"make {path} anew")

    async def holders(self, numbers: tuple[str, ...]) -> tuple[Holder, ...]:
        """Find who has a file system open; see the port."""
        return (await self._ask((), numbers, mounts=False)).holders

    async def keeping(self, nodes: tuple[str, ...], numbers: tuple[str, ...]) -> Keeping:
        """Find who keeps a file system; see the port."""
        return await self._ask(nodes, numbers, mounts=True)

    async def _ask(self, nodes: tuple[str, ...], numbers: tuple[str, ...], *, mounts: bool) -> Keeping:
        order = {"do": "holders", "nodes": list(nodes), "numbers": list(numbers), "mounts": mounts}
        said = await self.order(order, "find out who uses it", "eventd-holders")
        try:
            found = json.loads(said)
            holders = tuple(_holder(row) for row in found["holders"])
            return Keeping(holders, tuple(str(each) for each in found.get("claimed", ())))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TemporaryError(
                "who uses it cannot be found out: the helper's answer is not understood",
                reason="volume-helper-failed",
            ) from error

    async def sweep(self, uid: int, subuid: tuple[int, int], *, timeout: float) -> tuple[str, ...]:
        """Remove what an account owns outside of its home; return what stays, each as a path and why."""
        order: dict[str, object] = {"do": "sweep", "uid": uid, "subuid": list(subuid)}
        said = await self.order(order, "remove what the account left behind", "eventd-sweep", timeout=timeout)
        try:
            found = json.loads(said)
            more = (f"and {int(found['more'])} more",) if found["more"] else ()
            return (*map(str, found["stays"]), *more)
        except (ValueError, KeyError, TypeError) as error:
            raise TemporaryError(
                "what the account left behind is not known: the helper's answer is not understood",
                reason="volume-helper-failed",
            ) from error

    async def order(
        self, order: dict[str, object], what: str, unit: str = "eventd-volume", *, timeout: float = TIMEOUT
    ) -> str:
        """Have an order carried out, and return what was said; `what` is for errors."""
        # The process id: a daemon that was killed may have left a unit of the same number running.
        instance = f"{os.getpid()}-{next(self._numbers)}"
        path, answer = f"{self._folder}/{instance}.json", f"{self._folder}/{instance}.out"
        unit = f"{unit}@{instance}.service"
        try:
            await anyio.to_thread.run_sync(_write, path, json.dumps(order))
            result = await self._system.job(Verb.START, unit, timeout=timeout)
            said = await anyio.to_thread.run_sync(_read, answer)
        except OSError as error:
            raise translate(error, "write", path) from error
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_remove, path, answer)
        _judge(what, unit, result, said)
        return said


def _holder(row: dict[str, str | int]) -> Holder:
    return Holder(int(row["pid"]), str(row["command"]), str(row["how"]), int(row["uid"]), str(row["cgroup"]))


def _judge(what: str, unit: str, result: JobResult, said: str) -> None:
    if result.result == "done":  # `skipped` would be an order that was gone before it was read
        return
    found: dict[str, str] = {}
    try:
        found = json.loads(said)
    except ValueError:
        if not os.path.exists(PROGRAM):  # noqa: PTH110  plain os, as all here
            raise TemporaryError(
                f"cannot {what}: {PROGRAM}, which {unit} runs, is not there (203/EXEC)",
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
