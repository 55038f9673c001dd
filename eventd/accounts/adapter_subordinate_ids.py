"""Subordinate ids: parsing subuid(5) and subgid(5), finding free ranges and overlaps.

Pure. The files are read and written by `eventd.accounts.adapter`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eventd.accounts.adapter_used_ids import SUBORDINATE_IDS
from eventd.platform.model_facts import Account


@dataclass(frozen=True, slots=True)
class Range:
    """A line of subuid(5) or subgid(5)."""

    owner: str
    """A name or a uid in decimal."""
    first: int
    count: int

    @property
    def end(self) -> int:
        """The first id after the range."""
        return self.first + self.count


def parse_ranges(text: str) -> list[Range]:
    """Return the rows of a subuid(5) file. Lines that do not parse are skipped, as newuidmap(1) does."""
    ranges = []
    for line in text.splitlines():
        owner, _, rest = line.strip().partition(":")
        first, _, count = rest.partition(":")
        if owner and first.isdecimal() and count.isdecimal():
            ranges.append(Range(owner, int(first), int(count)))
    return ranges


def free_range(ranges: Iterable[Range], lowest: int, highest: int) -> int | None:
    """Return the first id of a free range of 65,536 within the limits (inclusive), None if there is none."""
    first = lowest
    for taken in sorted(ranges, key=lambda r: r.first):
        if taken.end > first and taken.first < first + SUBORDINATE_IDS:
            first = taken.end
    return first if first + SUBORDINATE_IDS - 1 <= highest else None


def overlapping(ranges: Iterable[Range], account: Account, have: tuple[int, int]) -> Range | None:
    """Return a range of another account that shares ids with `have` (first, count)."""
    for other in ranges:
        if other.owner not in (account.name, str(account.uid)) and (
            other.first < have[0] + have[1] and have[0] < other.end
        ):
            return other
    return None


def best(ranges: Sequence[Range], name: str, uid: int) -> tuple[int, int] | None:
    """Return the first range that is large enough, or else the largest."""
    mine = [r for r in ranges if r.owner in (name, str(uid))]
    enough = next((r for r in mine if r.count >= SUBORDINATE_IDS), None)
    chosen = enough or max(mine, key=lambda r: r.count, default=None)
    return None if chosen is None else (chosen.first, chosen.count)
