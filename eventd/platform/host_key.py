"""A random key of this host, in a file that only root can read: digests under it reveal nothing about the content.

Made once. A file that is not such a key is replaced: digests under another key are not compared with its own, so all
that is lost with a key is the knowledge of what is running since before.
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
    """Return the key, made if there is none. Raises TemporaryError or PermanentError, as `file_error`."""
    try:
        found = _read(path)
        if found is not None:
            return found
        _log.info("making the key %s", path)
        key = secrets.token_bytes(_BYTES)
        temporary = f"{path}.new"
        # What a crash left of one is ours: the folder is root's alone.
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
