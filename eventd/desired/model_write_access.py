"""Warns about mounts that a container cannot write to: folders of the repository, and host folders of another uid.

Pure. Such containers start well, pass every check of the compose provider, and then print "Permission denied" forever.
A single mounted file of the repository is usually configuration that is only read: there is no warning for it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import TYPE_CHECKING

from eventd.compose.model_services import stacks_of
from eventd.desired.model import FileRole
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.unitfiles.model_quadlet import KINDS, split

if TYPE_CHECKING:
    from eventd.desired.model_content import Content
    from eventd.unitfiles.model import UnitFile

_OF_ROOT = frozenset({"", "0", "root", "0:0", "root:root"})


def write_access(content: Content) -> Iterator[Diagnostic]:
    """Yield a warning for each mount that a container cannot write to."""
    below = frozenset(part.name for part in content.parts.values())
    for part, unit in content.units(FileRole.QUADLET):
        section = KINDS[split(part.name)[1]].section
        if section in ("Container", "Pod"):
            yield from _quadlet(content.name, unit, section, below)
    for origin, stack in stacks_of(content):
        for service in stack.services:
            key = f"services/{service.name}/volumes"
            for mount in service.inside:
                if not mount.read_only and _is_folder(mount.source, below):
                    yield _warning(origin, mount.line, key, *_read_only(mount.source))
            for mount in service.mounts:
                if mount.source.startswith("/") and not mount.read_only and _is_mapped(service.user):
                    yield _warning(
                        origin, mount.line, key, *_mapped(content.name, mount.source, service.user)
                    )


def _quadlet(name: str, unit: UnitFile, section: str, below: frozenset[str]) -> Iterator[Diagnostic]:
    user = unit.value(section, "User") if section == "Container" else ""
    kept = unit.value(section, "UserNS").startswith(("keep-id", "nomap", "auto"))
    for line in unit.values(section, "Volume"):
        source, _, rest = line.value.partition(":")
        options = rest.partition(":")[2].split(",")
        if not rest or "ro" in options:
            continue
        if source.startswith(".") and _is_folder(posixpath.normpath(source), below):
            message, hint, code = _read_only(posixpath.normpath(source))
            yield line.warning(code, message, hint)
        if source.startswith("/") and _is_mapped(user) and not kept and "U" not in options:
            message, hint, code = _mapped(name, source, user)
            yield line.warning(code, message, hint)


def _is_folder(path: str, below: frozenset[str]) -> bool:
    return path == "." or any(name.startswith(f"{path}/") for name in below)


def _is_mapped(user: str) -> bool:
    """Return whether a container's user is not the account on the host. A name may be either."""
    return user not in _OF_ROOT and user.partition(":")[0].isdecimal()


def _read_only(folder: str) -> tuple[str, str, str]:
    return (
        f"./{folder} is in the repository: its files on the host belong to root, and containers cannot write to it",
        "use a named volume or an absolute path for data; if it is only read, add :ro",
        "read-only-folder",
    )


def _mapped(name: str, path: str, user: str) -> tuple[str, str, str]:
    uid = user.partition(":")[0]
    message = (
        f"uid {uid} of a rootless container is another uid on the host, which cannot write to files of {uid}"
    )
    hint = f"chown -R {name}: {path} && echo 'podman unshare chown -R {user} {path}' | eventctl shell {name}"
    return f"{message}; {path} may belong to it", hint, "mapped-user"


def _warning(file: str, line: int, key: str, message: str, hint: str, code: str) -> Diagnostic:
    return Diagnostic(Severity.WARNING, file, line, key, message, hint, code)
