"""A random key of this host, in a file that only root can read. A digest under it reveals nothing about the content.

Made once. A file that is not a valid key is replaced. Digests under different keys are not compared, so a new key only
loses which content a running workload was started with.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from pathlib import Path

from eventd.platform.file_state import file_error

_BYTES = 32
_log = logging.getLogger(__name__)


def host_key(path: str) -> bytes:
    """Return the key; make it if there is none. Raises what `file_error` returns."""
    try:
        found = _read(path)
        if found is not None:
            return found
        _log.info("making the key %s", path)
        key = secrets.token_bytes(_BYTES)
        temporary = f"{path}.new"
        # A temporary file that a crash left is ours: only root can write to the folder.
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, 0o600)
            file.write(key)
            file.flush()
            os.fsync(descriptor)
        Path(temporary).rename(path)
    except OSError as error:
        raise file_error(error, "make the key", path) from error
    return key


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        key = file.read(_BYTES + 1)
    return key if len(key) == _BYTES else None
