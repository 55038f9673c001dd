"""One JSON file per workload in a folder of the runtime directory: the last known status, also without a daemon.

Owns that folder: replaces it file by file, and removes files of workloads that are gone. It belongs to root, is on a
tmpfs, and everyone may read it. `eventd.status.controller_status_files` decides what is in a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread

from eventd.kernel.model.errors import TemporaryError
from eventd.kernel.model.names import user_problem

SUFFIX = ".json"
_FOLDER_MODE = 0o755
_MODE = 0o644


@dataclass(frozen=True, slots=True)
class StatusFolder:
    """The folder at `path`."""

    path: str

    async def write(self, documents: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Replace the file of each workload; None removes it. Raises TemporaryError(reason="status-not-written")."""
        await anyio.to_thread.run_sync(self._write, documents)

    async def keep(self, names: Collection[str]) -> None:
        """Remove the files of all others, as from an earlier process. Raises as `write`."""
        await anyio.to_thread.run_sync(self._keep, frozenset(names))

    def _write(self, documents: Mapping[str, Mapping[str, Any] | None]) -> None:
        folder = Path(self.path)
        try:
            folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
            folder.chmod(_FOLDER_MODE)
            for name, document in documents.items():
                if user_problem(name, frozenset()) is not None:
                    continue  # not a valid file name
                path = folder / f"{name}{SUFFIX}"
                if document is None:
                    path.unlink(missing_ok=True)
                    continue
                new = folder / f".{name}{SUFFIX}.new"
                text = json.dumps(document, indent=2) + "\n"
                # Atomic for readers. No fsync: a tmpfs does not survive the host.
                new.write_text(text, encoding="utf-8")
                new.chmod(_MODE)
                os.replace(new, path)  # noqa: PTH105 - as the other adapters do
        except OSError as error:
            raise _failed(self.path, error) from error

    def _keep(self, names: frozenset[str]) -> None:
        try:
            for path in Path(self.path).glob(f"*{SUFFIX}"):
                if path.name.removesuffix(SUFFIX) not in names:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(self.path, error) from error


def _failed(path: str, error: OSError) -> TemporaryError:
    return TemporaryError(
        f"cannot write the status to {path}: {error.strerror}",
        reason="status-not-written",
        hint="it is written with the next change; see eventctl status",
    )
