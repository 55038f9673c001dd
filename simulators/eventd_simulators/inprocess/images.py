"""The port `Images`: a registry, and each user's store of images.

A container runs the image that its reference named when its unit was started; how one behaves follows from the image
(`Registry.behaves`), so that a new image of an old name can be a bad one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.updates.model_images import Image, Running
from eventd_simulators.model.behaviours import Behaviour, short_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventd.platform.model_facts import Account
    from eventd_simulators.inprocess.life import Life
    from eventd_simulators.model.host import HostModel


@dataclass(slots=True)
class Registry:
    """What can be pulled, and what was pulled."""

    tags: dict[str, str] = field(default_factory=dict)
    """Reference -> id of what a pull brings."""
    stores: dict[str, dict[str, str]] = field(default_factory=dict)
    """User -> reference -> id."""
    started: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """User, unit, invocation -> id of the image that it runs."""
    behaves: dict[str, Behaviour] = field(default_factory=dict)
    """Id -> how a container of it behaves."""
    complaints: dict[str, str] = field(default_factory=dict)
    """User -> what podman says is wrong with their store; gone with the file that is set aside."""
    set_aside: list[tuple[str, str, str]] = field(default_factory=list)
    """User, path, and where it was moved to."""
    down: set[str] = field(default_factory=set)
    """References that cannot be pulled."""

    def push(self, reference: str, content: str, behaviour: Behaviour | None = None) -> str:
        """Push an image; return its id."""
        image = hashlib.sha256(f"{reference} {content}".encode()).hexdigest()
        self.tags[reference] = image
        if behaviour is not None:
            self.behaves[image] = behaviour
        return image


class SimImages:
    """`ports.Images`."""

    def __init__(self, life: Life, host: HostModel, registry: Registry) -> None:
        self._life = life
        self._host = host
        self._registry = registry

    async def inspect(self, account: Account, references: Sequence[str]) -> Mapping[str, Image]:
        """See the port."""

        def read() -> dict[str, Image]:
            store = self._store(account.name)
            found = {each: self._find(store, each) for each in references}
            return {
                each: Image(image, (f"{each}@sha256:{image}",))
                for each, image in found.items()
                if image is not None
            }

        return await self._life.read(read)

    async def running(self, account: Account) -> Sequence[Running]:
        """See the port."""

        def read() -> list[Running]:
            manager = self._host.managers.get(account.name)
            rows = []
            for name, unit in sorted(manager.units.items()) if manager is not None else ():
                image = unit.definition.image
                state = manager.peek(name) if manager is not None else None
                if image and state is not None and state.up:
                    rows.append(
                        Running(name, "", self._image_of(account.name, name, state.invocation, image))
                    )
            return rows

        return await self._life.read(read)

    async def last_check(self, account: Account, container: str) -> str:
        """See the port: the model's checks print nothing."""
        del account, container
        return await self._life.read(str)

    async def complaint(self, account: Account) -> str:
        """See the port."""
        return await self._life.read(lambda: self._registry.complaints.get(account.name, ""))

    async def set_aside(self, account: Account, path: str, aside: str) -> None:
        """See the port."""

        def move() -> None:
            self._registry.set_aside.append((account.name, path, aside))
            self._registry.complaints.pop(account.name, None)

        await self._life.change("set-aside", move)

    async def pull(self, account: Account, reference: str, *, timeout: float) -> None:
        """See the port."""
        del timeout
        registry = self._registry
        if reference in registry.down or reference not in registry.tags:
            await self._life.read(lambda: None)
            raise TemporaryError(f"cannot pull {reference}: manifest unknown", reason="pull-failed")
        await self._life.change(
            "pull", lambda: self._name(account.name, reference, registry.tags[reference]), failure=0
        )

    async def tag(self, account: Account, image: str, reference: str) -> None:
        """See the port."""
        if image not in self._store(account.name).values() and image not in self._registry.started.values():
            raise PermanentError(f"the image {image[:12]} is gone", reason="image-gone")
        await self._life.change("tag", lambda: self._name(account.name, reference, image), failure=0)

    async def newer(
        self, account: Account, reference: str, local: Image | None, *, timeout: float
    ) -> bool | None:
        """See the port."""
        del account, timeout
        if reference in self._registry.down or reference not in self._registry.tags:
            raise TemporaryError(f"cannot check {reference}", reason="registry-unreachable")
        return await self._life.read(lambda: local is None or local.id != self._registry.tags[reference])

    def _store(self, user: str) -> dict[str, str]:
        return self._registry.stores.setdefault(user, {})

    @staticmethod
    def _find(store: dict[str, str], reference: str) -> str | None:
        return reference if reference in store.values() else store.get(reference)

    def _name(self, user: str, reference: str, image: str) -> None:
        self._note_running(user)
        self._store(user)[reference] = image
        behaviour = self._registry.behaves.get(image)
        if behaviour is not None:
            self._host.behaviours.images[short_name(reference)] = behaviour
        elif not reference.startswith("localhost/"):
            self._host.behaviours.images.pop(short_name(reference), None)

    def _note_running(self, user: str) -> None:
        """Remember what runs before a tag moves: a container keeps the image that it was created from."""
        manager = self._host.managers.get(user)
        for name, unit in manager.units.items() if manager is not None else ():
            state = manager.peek(name) if manager is not None else None
            if unit.definition.image and state is not None and state.up:
                self._image_of(user, name, state.invocation, unit.definition.image)

    def _image_of(self, user: str, unit: str, invocation: str, reference: str) -> str:
        store = self._store(user)
        if reference not in store:
            store[reference] = self._registry.tags.get(reference) or self._registry.push(reference, "first")
        return self._registry.started.setdefault((user, unit, invocation), store[reference])
