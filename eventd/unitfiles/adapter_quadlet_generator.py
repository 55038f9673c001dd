"""The host's own Quadlet generator as a check (podman-systemd.unit(5), "Debugging unit files").

Writes the files into a private temporary folder, runs the generator on that folder alone, and returns its errors.
Implements the port `QuadletGenerator`; touches nothing that the host reads.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.platform.processes.process import ServiceAccount, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

GENERATOR = "/usr/lib/systemd/user-generators/podman-user-generator"
_PREFIX = re.compile(r"^quadlet-generator\[\d+\]:\s*")
_NOISE = ("Loading source", "Warning:", "No files parsed")


class HostQuadletGenerator:
    """Runs podman's generator, 9 ms per call. With `identity`, as that unprivileged account."""

    def __init__(
        self,
        *,
        generator: str = GENERATOR,
        timeout: float = 20.0,
        identity: ServiceAccount | None = None,
        scratch: str | None = None,
    ) -> None:
        self._generator = generator
        self._timeout = timeout
        self._identity = identity
        self._scratch = scratch

    async def dry_run(self, files: Mapping[str, bytes]) -> Sequence[str]:
        """Return its errors as lines that name the files; empty if it accepts them.

        `files` are Quadlet files and drop-ins by their path below the workload's folder. The generator's warnings are
        left out. Raises PermanentError(reason="command-missing") if podman is not installed, DeadlineError, and
        TemporaryError(reason="no-scratch") if the folder cannot be written.
        """
        folder = await asyncio.to_thread(self._write, files)
        try:
            done = await run(
                [self._generator, "--user", "--dryrun"],
                timeout=self._timeout,
                identity=self._identity,
                environment={"QUADLET_UNIT_DIRS": folder, "HOME": folder},
            )
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
        if done.ok:
            return ()
        lines = (
            _PREFIX.sub("", line).replace(f"{folder}/", "").strip()
            for line in done.stderr.decode("utf-8", "replace").splitlines()
        )
        errors = tuple(line for line in lines if line and not line.startswith(_NOISE))
        return errors or (f"the generator failed with status {done.status} and printed no error",)

    def _write(self, files: Mapping[str, bytes]) -> str:
        for name in files:
            if name.startswith("/") or ".." in name.split("/"):
                raise PermanentError(f"{name!r} is outside its folder", reason="unsafe-path")
        try:
            folder = tempfile.mkdtemp(prefix="eventd-quadlet-", dir=self._scratch)
        except OSError as error:
            raise TemporaryError(
                f"cannot create a temporary folder: {error.strerror}", reason="no-scratch"
            ) from error
        try:
            for name, content in files.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            if self._identity is not None and os.geteuid() == 0:
                # The folder has mode 0700, so it must belong to the account.
                for place, _, names in os.walk(folder):
                    for each in (place, *(os.path.join(place, name) for name in names)):  # noqa: PTH118
                        os.chown(each, self._identity.uid, self._identity.gid)
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise TemporaryError(f"cannot write {folder}: {error.strerror}", reason="no-scratch") from error
        return folder
