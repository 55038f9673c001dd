"""Stores the record of the boot in a file, which outlives the daemon but not the boot.

Owns one JSON file in the daemon's runtime folder (a tmpfs), readable by root only: the API decides who may see which
workload. A file of another boot is ignored. The record itself is `eventd.boot.model`.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread
from pydantic import TypeAdapter, ValidationError

from eventd.boot.model import BootRecord
from eventd.kernel.model.errors import TemporaryError

BOOT_ID = "/proc/sys/kernel/random/boot_id"
RECORD = TypeAdapter(BootRecord)
_log = logging.getLogger(__name__)


def boot_id() -> str:
    """Return the kernel's id of this boot (random(4)), or of this container's."""
    try:
        return Path(BOOT_ID).read_text(encoding="ascii").strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class BootFile:
    """The file at `path`."""

    path: str
    boot_id: str

    async def load(self) -> BootRecord | None:
        """Return the record of this boot; None if there is none, or none by this version of eventd."""
        return await anyio.to_thread.run_sync(self._load)

    async def save(self, record: BootRecord) -> None:
        """Replace the stored record. Raises TemporaryError."""
        await anyio.to_thread.run_sync(self._save, record)

    def _load(self) -> BootRecord | None:
        try:
            record = RECORD.validate_json(Path(self.path).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            _log.warning("the record of this boot in %s is ignored: %s", self.path, error)
            return None
        return record if record.boot_id == self.boot_id else None

    def _save(self, record: BootRecord) -> None:
        new = Path(f"{self.path}.new")
        try:
            # No fsync: the file does not survive a crash of the host anyway.
            new.touch(mode=0o600)
            new.chmod(0o600)
            new.write_bytes(RECORD.dump_json(record))
            os.replace(new, self.path)  # noqa: PTH105 - a path that may be a str
        except OSError as error:
            raise TemporaryError(
                f"cannot write the record of the boot to {self.path}: {error.strerror}"
            ) from error
