"""Podman's images, as the runtime sees them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from eventd.platform.model_facts import Account
from eventd.updates.model_images import Image, Running


class Images(Protocol):
    """Container images, in the store of a workload's user and at registries."""

    async def inspect(self, account: Account, references: Sequence[str]) -> Mapping[str, Image]:
        """Return the references (or ids) that are in the user's store, with their images."""
        ...

    async def running(self, account: Account) -> Sequence[Running]:
        """Return the user's containers that run under a unit."""
        ...

    async def last_check(self, account: Account, container: str) -> str:
        """Return what the last health check of a container printed; empty if there was none, or it is gone."""
        ...

    async def complaint(self, account: Account) -> str:
        """Return podman's complaint about its own store; empty if it can read it."""
        ...

    async def set_aside(self, account: Account, path: str, aside: str) -> None:
        """Rename a file of the user's, as the user. Raises PermanentError(reason="not-set-aside")."""
        ...

    async def pull(self, account: Account, reference: str, *, timeout: float) -> None:
        """Pull; the tag in the store moves. Raises TemporaryError(reason="pull-failed")."""
        ...

    async def tag(self, account: Account, image: str, reference: str) -> None:
        """Tag an image with a reference. Raises PermanentError(reason="image-gone")."""
        ...

    async def newer(
        self, account: Account, reference: str, local: Image | None, *, timeout: float
    ) -> bool | None:
        """Return whether the registry has another image than the store, without a pull; None: unknown.

        Raises TemporaryError(reason="registry-unreachable").
        """
        ...
