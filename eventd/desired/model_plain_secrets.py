"""Warns about what does not belong in a workload: passwords in plain text, and root's container socket.

Pure. Decides by the names of variables and never shows a value. The hint names the alternative. Next:
`eventd.desired.model_assembly` adds the findings.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from eventd.compose.model_services import services_of
from eventd.desired.model import FileRole, InstallFile
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.unitfiles.model_quadlet import KINDS, mount_source, split

if TYPE_CHECKING:
    from eventd.desired.model_content import Content

_NAME = re.compile(
    r"(?:^|_)(?:PASS(?:WORD|WD|PHRASE)?|PWD|SECRET(?:_KEY)?|TOKEN|API_?KEY|ACCESS_KEY|PRIVATE_KEY|CREDENTIALS?)$",
    re.IGNORECASE,
)
_HARMLESS = re.compile(r"\$|/|true$|false$|yes$|no$|none$|$", re.IGNORECASE)
"""Values that are not secrets: variables, paths (`/run/secrets/db`), switches."""
SOCKETS = frozenset(
    {"/var/run/docker.sock", "/run/docker.sock", "/var/run/podman/podman.sock", "/run/podman/podman.sock"}
)
"""The sockets of root's docker and podman."""


def is_secret(key: str, value: str) -> bool:
    """Return whether a variable's name says that its value is a secret, and the value looks like one."""
    return bool(_NAME.search(key)) and key != "PWD" and _HARMLESS.match(value) is None


def plain_secrets(content: Content) -> Iterator[Diagnostic]:
    """Yield a warning for each variable of a workload's units and stack whose value is a secret in plain text."""
    for role in (FileRole.QUADLET, FileRole.COMPANION):
        for part, unit in content.units(role):
            kind = KINDS.get(split(part.name)[1])
            for section in (kind.section if kind else "", "Service"):
                for line in unit.values(section, "Environment") if section else ():
                    for key, value in _assignments(line.value):
                        if is_secret(key, value):
                            yield _warning(line.file, line.number, f"{section}/Environment", key)
    for part in content.parts.values():
        if part.unit is None and part.name.rpartition("/")[2].endswith(".env"):
            yield from _env_file(part.install)
    for origin, service in services_of(content):
        for entry in service.environment:
            key, _, value = entry.text.partition("=")
            if is_secret(key, value):
                yield _warning(origin, entry.line, f"services/{service.name}/environment", key)


def sockets(content: Content) -> Iterator[Diagnostic]:
    """Yield a warning for each mount of root's container socket."""
    message = "belongs to root: the account of a workload cannot use it, and whoever can is root on this host"
    hint = "mount the account's own: %t/podman/podman.sock; in compose ${XDG_RUNTIME_DIR}/podman/podman.sock"
    for part, unit in content.units(FileRole.QUADLET):
        section = KINDS[split(part.name)[1]].section
        for key in ("Volume", "Mount"):
            for line in unit.values(section, key):
                source = mount_source(line.value) if key == "Mount" else line.value.partition(":")[0]
                if source in SOCKETS:
                    yield line.warning("docker-socket", f"{source} {message}", hint)
    for origin, service in services_of(content):
        for mount in service.mounts:
            if mount.source in SOCKETS:
                key, text = f"services/{service.name}/volumes", f"{mount.source} {message}"
                yield Diagnostic(Severity.WARNING, origin, mount.line, key, text, hint, "docker-socket")


def _env_file(file: InstallFile) -> Iterator[Diagnostic]:
    for number, line in enumerate(file.content.decode("utf-8", "replace").splitlines(), 1):
        key, _, value = line.strip().removeprefix("export ").partition("=")
        if not key.startswith("#") and is_secret(key.strip(), value.strip().strip("\"'")):
            yield _warning(file.origin, number, "", key.strip())


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    """Yield the assignments of an `Environment=` line, one per word (systemd.exec(5))."""
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    return ((word.partition("=")[0], word.partition("=")[2]) for word in words)


def _warning(file: str, line: int, where: str, key: str) -> Diagnostic:
    message = (
        f"{key} is a secret in plain text: everybody who can read the repository or the unit can read it"
    )
    hint = "put it into a file on the host (EnvironmentFile=, env_file) or a podman secret (Secret=, secrets)"
    return Diagnostic(Severity.WARNING, file, line, where, message, hint, "plain-secret")
