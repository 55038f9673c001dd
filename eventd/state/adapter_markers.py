"""Ownership markers: a second copy of each workload's record, one root-owned file each, beside the database.

They are what shows that an account is eventd's when the database is lost: nothing that a workload can write to counts
for that, and neither does a group. A mark is written before the row that it is a copy of and removed before that row
is, so it is never behind; one that differs from its row is a write that was cut off, or a database that was set back.
Owns `/var/lib/eventd/accounts`; that what it reads is true of the host, the runtime looks at.
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
from eventd.platform.file_state import TEMPORARY_PREFIX, open_folder, translate
from eventd.workloads.model_records import WorkloadRecord

log = logging.getLogger(__name__)
_CODEC = TypeAdapter(WorkloadRecord)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LARGEST = 64 * 1024


class OwnershipMarkers:
    """The folder of marks. Synchronous; called in the thread that writes the database."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._known: dict[str, bytes] = {}
        """What was read or written in this life, so that an unchanged one is not written again."""

    def read(self) -> Mapping[str, WorkloadRecord]:
        """Return all marks by name; one that cannot be read is left where it is, and told in the log.

        Removes what a crash left of a write. Raises EventdError where the folder cannot be read.
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
            raise translate(error, "read", self._folder) from error
        return found

    def put(self, record: WorkloadRecord) -> None:
        """Write a mark so that it survives a power cut: whole, or as it was before. Raises EventdError."""
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
            raise translate(error, "write", f"{self._folder}/{name}") from error
        self._known[record.name] = content

    def drop(self, name: str) -> None:
        """Remove a mark; an absent one is no error. Raises EventdError."""
        self._known.pop(name, None)
        try:
            with self._opened() as folder:
                os.unlink(f"{name}.json", dir_fd=folder)
                os.fsync(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise translate(error, "remove", f"{self._folder}/{name}.json") from error

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
            log.error("%s/%s is damaged: it is about %r", self._folder, entry, record.name)
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
