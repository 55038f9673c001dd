"""Ownership markers: a second copy of each workload's record, one root-owned file each, beside the database.

They prove that an account is eventd's when the database is lost. Nothing that a workload can write counts as proof, and
neither does membership in a group. A marker is written before its row and removed before its row, so it is never older
than the row. If they differ, a write was interrupted, or an older database was restored. Owns
`/var/lib/eventd/accounts`. `eventd.state.controller_rebuild` checks the markers against the host.
"""

# ruff: noqa: PTH102, PTH120, PTH208, TRY400  names relative to an opened folder

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from pydantic import TypeAdapter, ValidationError

from eventd.kernel.model.names import user_problem
from eventd.platform.file_state import TEMPORARY_PREFIX, file_error, open_folder
from eventd.workloads.model_records import WorkloadRecord

log = logging.getLogger(__name__)
_CODEC = TypeAdapter(WorkloadRecord)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGEST = 64 * 1024


class OwnershipMarkers:
    """The folder of markers. Synchronous; called in the thread that writes the database."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._known: dict[str, bytes] = {}
        """The content read or written since the start, so that an unchanged marker is not written again."""

    def read(self) -> Mapping[str, WorkloadRecord]:
        """Return all markers by name. One that cannot be parsed is logged and left in place.

        Removes temporary files that a crash left behind. Raises EventdError if the folder cannot be read.
        """
        found: dict[str, WorkloadRecord] = {}
        try:
            with self._opened() as folder:
                for entry in sorted(os.listdir(folder)):
                    if entry.startswith(TEMPORARY_PREFIX):
                        os.unlink(entry, dir_fd=folder)
                    elif entry.endswith(".json"):
                        record = self._one(folder, entry)
                        if record is not None:
                            found[record.name] = record
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise file_error(error, "read", self._folder) from error
        return found

    def put(self, record: WorkloadRecord) -> None:
        """Write a marker atomically and durably. Raises EventdError."""
        content = json.dumps(asdict(record), sort_keys=True).encode() + b"\n"
        if self._known.get(record.name) == content:
            return
        temporary, name = TEMPORARY_PREFIX + secrets.token_hex(8), f"{record.name}.json"
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._folder, 0o700)
                with _closing(open_folder(os.path.dirname(self._folder))) as parent:
                    os.fsync(parent)
            with self._opened() as folder:
                try:
                    with os.fdopen(os.open(temporary, _NEW, 0o600, dir_fd=folder), "wb") as file:
                        file.write(content)
                        file.flush()
                        os.fsync(file.fileno())
                    os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
                except OSError:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(temporary, dir_fd=folder)
                    raise
                os.fsync(folder)
        except OSError as error:
            self._known.pop(record.name, None)
            raise file_error(error, "write", f"{self._folder}/{name}") from error
        self._known[record.name] = content

    def drop(self, name: str) -> None:
        """Remove a marker; a missing one is not an error. Raises EventdError."""
        self._known.pop(name, None)
        try:
            with self._opened() as folder:
                os.unlink(f"{name}.json", dir_fd=folder)
                os.fsync(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise file_error(error, "remove", f"{self._folder}/{name}.json") from error

    def _one(self, folder: int, entry: str) -> WorkloadRecord | None:
        with os.fdopen(
            os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder), "rb"
        ) as file:
            content = file.read(_LARGEST)
        try:
            record = _CODEC.validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            log.error("%s/%s is damaged: %s", self._folder, entry, first["msg"])
            return None
        if f"{record.name}.json" != entry or user_problem(record.name) is not None:
            log.error("%s/%s is damaged: it names %r", self._folder, entry, record.name)
            return None
        self._known[record.name] = content
        return record

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        with _closing(open_folder(self._folder)) as folder:
            yield folder


@contextlib.contextmanager
def _closing(fd: int) -> Iterator[int]:
    try:
        yield fd
    finally:
        os.close(fd)
