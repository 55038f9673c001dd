"""Stored updates: what is requested or in progress, the result of the last one, and verified images.

Pure values; `updates.controller` keeps them on document tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Update:
    """An update that is requested or in progress: stored before anything is pulled, deleted when it has ended."""

    workload: str
    since: float
    """Seconds since the epoch."""
    by: str
    retry: bool = False
    """Also retry an image that an earlier update was rolled back from."""
    before: Mapping[str, str] = field(default_factory=dict)
    """Reference -> id of the previous image, to roll back to."""
    applying: bool = False
    """`before` is known, and tags may have moved."""
    again: str = ""
    """Who has requested another update since this one began: the registry may have a newer image by now."""
    again_retry: bool = False


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """The result of the last update."""

    workload: str
    at: float
    """Seconds since the epoch."""
    by: str
    ok: bool
    reason: str = ""
    message: str = ""
    changed: Mapping[str, str] = field(default_factory=dict)
    """Reference -> id of the new image."""
    bad: Mapping[str, str] = field(default_factory=dict)
    """Reference -> id of the image that was rolled back; it is not retried by itself."""


@dataclass(frozen=True, slots=True)
class UsedImage:
    """An image that a verified revision ran."""

    reference: str
    id: str
    digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UsedImages:
    """The images of a workload, by the digest of its content; the newest first."""

    rows: tuple[tuple[str, tuple[UsedImage, ...]], ...] = ()

    def of(self, digest: str) -> tuple[UsedImage, ...]:
        """Return what a content ran when it was last verified."""
        return next((images for known, images in self.rows if known == digest), ())

    def all(self) -> tuple[UsedImage, ...]:
        """Return every stored image, the newest content's first."""
        return tuple(image for _, images in self.rows for image in images)

    def with_verified(self, digest: str, images: tuple[UsedImage, ...], kept: int) -> UsedImages:
        """Return the images with those that have just been verified."""
        rest = [row for row in self.rows if row[0] != digest]
        return UsedImages(((digest, images), *rest)[:kept])
