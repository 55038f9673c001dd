"""Remembers the deliveries that were passed on, to recognise replays.

Owns a bounded list of digests, kept in a file of the unit's StateDirectory if it has one. Only signed deliveries that
the daemon accepted are added: an unsigned request cannot displace others, and a delivery that the daemon could not
accept may be repeated. The file is not synced: a power cut may make one replay possible, which costs one fetch without
changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

_DIGEST = re.compile(r"[0-9a-f]{32}")


class Claim:
    """A delivery in progress. `known`: it was passed on before. `confirm`: to be called once it has been passed on."""

    def __init__(self, *, known: bool, confirm: Callable[[], None]) -> None:
        self.known = known
        self.confirm = confirm


class Deliveries:
    """Up to `limit` digests, the oldest forgotten first."""

    def __init__(self, limit: int, file: Path | None, report: Callable[[str], None]) -> None:
        self._limit = limit
        self._file = file
        self._report = report
        self._digests: dict[str, None] = {}
        self._lines = 0
        self._under_way: dict[str, asyncio.Event] = {}
        if file is not None:
            self._load(file)

    def __len__(self) -> int:
        return len(self._digests)

    def _load(self, file: Path) -> None:
        try:
            lines = file.read_text("ascii", "replace").splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            self._report(f"cannot read {file}: {error.strerror}")
            return
        # A line that was truncated by a crash is not a digest.
        self._digests = dict.fromkeys(line for line in lines[-self._limit :] if _DIGEST.fullmatch(line))
        self._lines = len(lines)

    @contextlib.asynccontextmanager
    async def claim(self, hook: str, identities: Iterable[str]) -> AsyncIterator[Claim]:
        """Lock the delivery: others with the same identities wait until this one has ended.

        The wait is bounded by the holder's own deadline.
        """
        digests = [
            hashlib.sha256(f"{hook}\0{i}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
            for i in identities
        ]
        while busy := next((self._under_way[d] for d in digests if d in self._under_way), None):
            await busy.wait()
        ended = asyncio.Event()
        self._under_way.update(dict.fromkeys(digests, ended))
        try:
            known = any(digest in self._digests for digest in digests)
            yield Claim(known=known, confirm=lambda: self._remember(digests))
        finally:
            for digest in digests:
                del self._under_way[digest]
            ended.set()

    def _remember(self, digests: list[str]) -> None:
        self._digests.update(dict.fromkeys(digests))
        while len(self._digests) > self._limit:
            del self._digests[next(iter(self._digests))]
        if self._file is None:
            return
        try:
            self._lines += len(digests)
            if self._lines > 2 * self._limit:
                self._rewrite(self._file)
            else:
                with self._file.open("a", encoding="ascii") as opened:
                    opened.write("".join(f"{digest}\n" for digest in digests))
        except OSError as error:
            # The delivery has been passed on: a failure to record it must not fail the request.
            self._report(f"cannot write {self._file}: {error.strerror}")

    def _rewrite(self, file: Path) -> None:
        fresh = file.with_suffix(".new")
        fresh.write_text("".join(f"{digest}\n" for digest in self._digests), "ascii")
        fresh.replace(file)
        self._lines = len(self._digests)
