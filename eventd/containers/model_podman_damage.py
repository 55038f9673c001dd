"""Damage to an account's podman store that a restart does not repair: how podman reports it, and what a reset costs.

Pure. Each message was produced by podman 5.4.2 with a file of its store overwritten. The account can forge it, so it
counts for that account only, and a path in it only inside of its own store. A reset moves one file aside, as the
account, and waits for a signature (`model_action_table`). Next: `containers.controller_store_resets`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

REASON = "podman-store-damaged"
STORE = ".local/share/containers/storage"
"""The store of rootless podman below the home, unless storage.conf changes it."""
_DATABASE = re.compile(r"file is not a database|database disk image is malformed")
_LIST = re.compile(r'configure storage: loading "([^"]{1,400})"')
_NETWORK = re.compile(r'Error reading network config file \\?"([^"\\]{1,400})\\?"')
_KNOWN = re.compile(
    r"overlay-containers/(?:volatile-)?containers\.json|networks/[A-Za-z0-9][\w.-]{0,100}\.json"
)
_INDEX = re.compile(r"overlay-(?:images|layers)/[a-z-]{1,30}\.json")
_SAID = 200
"""How many characters of podman's message are repeated."""


class Part(StrEnum):
    """The damaged part of the store."""

    DATABASE = "database"
    CONTAINERS = "containers"
    NETWORK = "network"
    IMAGES = "images"
    """No reset is offered for this: what else would be lost has not been tested."""


@dataclass(frozen=True, slots=True)
class Damage:
    """A file in the store that podman cannot read."""

    part: Part
    path: str
    """Absolute."""
    said: str
    """podman's own message, shortened."""

    @property
    def title(self) -> str:
        """What is damaged, as a sentence."""
        name = self.path.rpartition("/")[2].removesuffix(".json")
        return {
            Part.DATABASE: "podman's database is damaged",
            Part.CONTAINERS: "podman's list of containers is damaged",
            Part.NETWORK: f"the network {name} is half made",
            Part.IMAGES: "podman's list of images is damaged",
        }[self.part]

    @property
    def goes(self) -> str:
        """What a reset deletes."""
        return {
            Part.DATABASE: (
                "podman's records of containers, pods and volumes, and what containers wrote outside of volumes"
            ),
            Part.CONTAINERS: "the containers that are in the list, with what they wrote outside of volumes",
            Part.NETWORK: "the definition of the network, which its .network or compose file makes anew",
            Part.IMAGES: "",
        }[self.part]

    @property
    def stays(self) -> str:
        """What a reset keeps."""
        return {
            Part.DATABASE: "the data of all volumes, images, secrets, networks, and the home",
            Part.CONTAINERS: "the data of all volumes, images, secrets, networks, and the home",
            Part.NETWORK: "volumes, images, secrets, other networks, and the home",
            Part.IMAGES: "",
        }[self.part]

    @property
    def can_be_reset(self) -> bool:
        """Whether a reset is known that repairs it and keeps the rest."""
        return bool(self.goes)


def damage(text: str, home: str) -> Damage | None:
    """Return the damage to the store in this home according to a message of podman; None if it reports none."""
    root = f"{home}/{STORE}/"
    for line in text.splitlines():
        said = " ".join(line.partition("Error: ")[2].split() or line.split())[:_SAID]
        if _DATABASE.search(line):
            return Damage(Part.DATABASE, f"{root}db.sql", said)
        found = _LIST.search(line) or _NETWORK.search(line)
        if found is None or not found[1].startswith(root):
            continue
        name = found[1].removeprefix(root)
        if _KNOWN.fullmatch(name):
            part = Part.NETWORK if name.startswith("networks/") else Part.CONTAINERS
            return Damage(part, found[1], said)
        if _INDEX.fullmatch(name):
            return Damage(Part.IMAGES, found[1], said)
    return None
