"""Updates as they are remembered: what is asked for and on its way, what came of the last one, what was verified.

Pure values; `updates.controller` keeps them on document tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Update:
    """One that is asked for, or on its way: written down before anything is pulled, gone when it has ended."""

    workload: str
    since: float
    """Seconds since the epoch."""
    by: str
    retry: bool = False
    """Take an image, too, that an earlier update went back from."""
    before: Mapping[str, str] = field(default_factory=dict)
    """Reference -> id of the image that ran, or stood there, before: what it goes back to."""
    applying: bool = False
    """`before` is known, and tags may have moved."""
    again: str = ""
    """Who has asked for another one since that began: the registry may have yet another image by now."""
    again_retry: bool = False


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What came of the last one."""

    workload: str
    at: float
    """Seconds since the epoch."""
    by: str
    ok: bool
    reason: str = ""
    message: str = ""
    changed: Mapping[str, str] = field(default_factory=dict)
    """Reference -> id that is new since then."""
    bad: Mapping[str, str] = field(default_factory=dict)
    """Reference -> id that it went back from; not taken again by itself."""


@dataclass(frozen=True, slots=True)
class UsedImage:
    """An image that a verified revision ran."""

    reference: str
    id: str
    digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UsedImages:
    """Those of a workload, by the digest of its content; the newest first."""

    rows: tuple[tuple[str, tuple[UsedImage, ...]], ...] = ()

    def of(self, digest: str) -> tuple[UsedImage, ...]:
        """Return what a content ran when it was last verified."""
        return next((images for known, images in self.rows if known == digest), ())

    def all(self) -> tuple[UsedImage, ...]:
        """Return every image that is remembered, the newest content's first."""
        return tuple(image for _, images in self.rows for image in images)

    def with_verified(self, digest: str, images: tuple[UsedImage, ...], kept: int) -> UsedImages:
        """Return them with what has just been verified."""
        rest = [row for row in self.rows if row[0] != digest]
        return UsedImages(((digest, images), *rest)[:kept])
