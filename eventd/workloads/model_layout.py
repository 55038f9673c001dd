"""Paths on the host. Pure path arithmetic; the defaults are those of a real installation."""

from __future__ import annotations

from dataclasses import dataclass

from eventd.desired.model import FileRole, InstallFile


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders that eventd owns, and the ones it reads."""

    quadlet_root: str = "/etc/containers/systemd/users"
    """Searched by each user's own Quadlet generator as `<root>/<uid>` (podman-systemd.unit(5))."""
    unit_root: str = "/etc/eventd/units"
    """Companion units as `<root>/<uid>`, read by eventd-user-generator."""

    stack_root: str = "/etc/eventd/stacks"
    """Compose stacks as `<root>/<uid>`, read by the compose provider in that user's service."""

    def folder(self, role: FileRole, uid: int) -> str:
        """Return the folder of a role and a user."""
        match role:
            case FileRole.COMPANION:
                return f"{self.unit_root}/{uid}"
            case FileRole.STACK:
                return f"{self.stack_root}/{uid}"
            case FileRole.QUADLET | FileRole.DATA:
                return f"{self.quadlet_root}/{uid}"

    def folders(self, uid: int) -> tuple[str, ...]:
        """Return every folder of a user."""
        return tuple(f"{root}/{uid}" for root in self.roots)

    @property
    def roots(self) -> tuple[str, ...]:
        """Return the parents of the users' folders."""
        return self.quadlet_root, self.unit_root, self.stack_root

    def path(self, file: InstallFile, uid: int) -> str:
        """Return the path of an installed file."""
        return f"{self.folder(file.role, uid)}/{file.name}"

    def uid_of(self, path: str) -> int | None:
        """Return the uid whose folder a path is in, or None."""
        for root in self.roots:
            if path.startswith(root + "/"):
                head = path[len(root) + 1 :].split("/", 1)[0]
                return int(head) if head.isdecimal() else None
        return None
