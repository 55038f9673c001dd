"""Reads a file that a repository names, for the workload that uses it: its kind, a keyed digest, and any problem.

Synchronous, for a worker thread. A repository may name any path, so the path is not trusted. Content is read with the
rights of the workload's account, which could read it anyway; only from a regular file, and up to a limit. Only a digest
under the host's key is kept (`eventd.platform.host_key`). Root reads the folders above the file, for the subscriptions,
as far as they belong to root (`eventd.platform.path_lookup`).
"""

# ruff: noqa: PTH116  paths are strings here, and looked up once

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import time
from dataclasses import dataclass, replace

from eventd.platform.file_state import ABSENT
from eventd.platform.model_facts import Account, FileKind
from eventd.platform.path_lookup import look_up
from eventd.platform.processes.as_account import as_account
from eventd.workloads.model_facts import NamedState

LIMIT = 16 * 1024 * 1024
"""Bytes. A larger or unreadable file is identified by inode, size and time instead of its content."""
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK = 1 << 16


class Digester:
    """Keyed digests. They include the path, so that equal contents of two files cannot be recognised."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._id = hashlib.sha256(b"eventd named files\0" + key).hexdigest()[:8]

    def content(self, path: str, descriptor: int) -> str | None:
        """Return the digest of a file's content; None if it is larger than the limit."""
        total, left = self._begin(path, b"content"), LIMIT
        while block := os.read(descriptor, _BLOCK):
            left -= len(block)
            if left < 0:
                return None
            total.update(block)
        return self._end(total)

    def identity(self, path: str, status: os.stat_result) -> str:
        """Return a digest of the metadata that changes whenever the file changes."""
        total = self._begin(path, b"identity")
        total.update(f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}".encode())
        return self._end(total)

    def folder(self, path: str, status: os.stat_result) -> str:
        """Return a digest that identifies a folder, whatever its content."""
        total = self._begin(path, b"folder")
        total.update(f"{status.st_dev} {status.st_ino}".encode())
        return self._end(total)

    def _begin(self, path: str, what: bytes) -> hmac.HMAC:
        return hmac.new(self._key, what + b"\0" + os.fsencode(path) + b"\0", hashlib.sha256)

    def _end(self, total: hmac.HMAC) -> str:
        return f"{self._id}:{total.hexdigest()[:32]}"


@dataclass(frozen=True, slots=True)
class Seen:
    """The result of one scan."""

    state: NamedState
    """`noticed` is when the file was changed, according to its timestamps."""
    steps: tuple[tuple[str, str], ...]
    """Root's folders on the way to it, each with the name that was looked up in it."""
    foreign: str
    """The path from its first component that is not root's, which the account has to watch; empty if there is none."""


def observe(path: str, account: Account | None, digester: Digester) -> Seen:
    """Read an absolute path. Raises TemporaryError or PermanentError if root cannot look it up."""
    found = look_up(path, through=True)
    with as_account(account, groups=True):
        state, changed = _state(path, digester)
        if (
            state.kind is FileKind.DIRECTORY
            and account is not None
            and path == os.path.normpath(account.home)
        ):
            # For the home, only its identity counts: its content changes all the time, but another folder there
            # matters.
            state = replace(state, digest=digester.folder(path, os.stat(path)))
    now, clock = time.monotonic_ns() // 1000, time.time()
    since = max(changed, found.changed)
    # A missing file has no time; a time in the future is not trusted.
    noticed = max(0, now - int((clock - since) * 1_000_000)) if 0 < since <= clock else now
    state = replace(state, noticed=noticed)
    return Seen(state, found.steps, found.foreign)


def _state(path: str, digester: Digester) -> tuple[NamedState, float]:
    digest: str | None
    try:
        status = os.stat(path)
    except OSError as error:
        problem = "" if error.errno in ABSENT else (error.strerror or str(error))
        return NamedState(path, None, problem=problem), 0.0
    if stat.S_ISDIR(status.st_mode):
        return NamedState(path, FileKind.DIRECTORY), 0.0
    if not stat.S_ISREG(status.st_mode):
        return NamedState(path, FileKind.OTHER), 0.0
    try:
        # O_NONBLOCK: it may have been replaced by a fifo since its stat, and opening that would block.
        descriptor = os.open(path, _OPEN)
    except OSError as error:
        if error.errno in ABSENT:
            return NamedState(path, None), 0.0
        problem = error.strerror or str(error)
        digest = digester.identity(path, status)
        return NamedState(path, FileKind.REGULAR, digest, problem), status.st_ctime
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return NamedState(path, FileKind.OTHER), 0.0
        # An empty file may be about to be written: treat it as having no content yet.
        digest = None
        if status.st_size <= LIMIT:
            digest = "" if status.st_size == 0 else digester.content(path, descriptor)
        if digest is None:
            digest = digester.identity(path, status)
    except OSError as error:
        return NamedState(path, FileKind.REGULAR, problem=error.strerror or str(error)), 0.0
    finally:
        os.close(descriptor)
    runs = bool(status.st_mode & 0o111)
    return NamedState(path, FileKind.REGULAR, digest, executable=runs), status.st_ctime
