"""What stands at a path that a repository names, for a workload that uses it: its kind, a keyed digest, what is wrong.

Synchronous, for a worker thread. A repository may name any path, so nothing is taken for granted of it. Content is read
with the rights of the workload's account, which could read it anyway; it is read up to a limit, never from anything
but a regular file, and all that is kept of it is a digest under the host's key (`eventd.platform.host_key`). The way to
it is looked at by root, for the subscriptions, as far as it is root's own (`eventd.platform.path_presence`).
"""

# ruff: noqa: PTH116  paths are strings here, and looked up once

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import time
from dataclasses import dataclass, replace

from eventd.platform.as_account import as_account
from eventd.platform.file_state import ABSENT
from eventd.platform.model_facts import Account, FileKind
from eventd.platform.path_presence import find
from eventd.workloads.model_facts import NamedState

LIMIT = 16 * 1024 * 1024
"""Bytes that are read. Of a larger file, and one that is not readable, it is inode, size and time that tell."""
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK = 1 << 16


class Digester:
    """Keyed digests. The path is digested too: two files with one content do not show that they have it."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._id = hashlib.sha256(b"eventd named files\0" + key).hexdigest()[:8]

    def content(self, path: str, descriptor: int) -> str | None:
        """Return the digest of a file's content, None if it is larger than the limit."""
        total, left = self._begin(path, b"content"), LIMIT
        while block := os.read(descriptor, _BLOCK):
            left -= len(block)
            if left < 0:
                return None
            total.update(block)
        return self._end(total)

    def identity(self, path: str, status: os.stat_result) -> str:
        """Return a digest of what changes with a file, short of its content."""
        total = self._begin(path, b"identity")
        total.update(f"{status.st_dev} {status.st_ino} {status.st_size} {status.st_mtime_ns}".encode())
        return self._end(total)

    def folder(self, path: str, status: os.stat_result) -> str:
        """Return a digest of which folder that is, whatever is in it."""
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
    """`noticed` is when it was changed, as far as the clock of the files tells."""
    way: tuple[tuple[str, str], ...]
    """Folders of root's, each with the name that was looked up in it."""
    handed: str
    """What is to be watched by somebody with the account's rights; empty: nothing."""


def observe(path: str, account: Account | None, digester: Digester) -> Seen:
    """Look at an absolute path. Raises TemporaryError or PermanentError where root cannot look at the way to it."""
    found = find(path, through=True)
    with as_account(account, groups=True):
        state, changed = _state(path, digester)
        if (
            state.kind is FileKind.DIRECTORY
            and account is not None
            and path == os.path.normpath(account.home)
        ):
            # Which folder it is: what is in it changes all the time, and another one in its place is none of ours.
            state = replace(state, digest=digester.folder(path, os.stat(path)))
    now, clock = time.monotonic_ns() // 1000, time.time()
    since = max(changed, found.changed)
    # A file that is to be made yet has no time; neither has one from the future.
    noticed = max(0, now - int((clock - since) * 1_000_000)) if 0 < since <= clock else now
    state = replace(state, noticed=noticed)
    return Seen(state, found.way, found.handed)


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
        # O_NONBLOCK: it may have been replaced by a fifo since it was looked at, whose open would block.
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
        # An empty file is one that is being written, for all that anybody can tell: it has no content yet.
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
