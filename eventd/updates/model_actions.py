"""Actions on images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PullImages:
    """Pull images into the store of the workload's user; tags move, running containers are not touched."""

    workload: str
    references: tuple[str, ...]
    timeout: float
    """For each."""
    why: str
    verb = "pull-images"

    @property
    def target(self) -> str:
        """The references."""
        return " ".join(self.references)


@dataclass(frozen=True, slots=True)
class TagImages:
    """Tag images with the references that named them before."""

    workload: str
    images: tuple[tuple[str, str], ...]
    """Image id and reference."""
    why: str
    verb = "tag-images"

    @property
    def target(self) -> str:
        """The references, with the beginning of the id."""
        return " ".join(f"{reference}={image[:12]}" for image, reference in self.images)
