"""Determines which volumes a workload uses, from its options and its bind mounts.

Pure. A bind mount below a volume's path counts as a use of that volume even if `[storage] volumes` does not name it, so
the workload always waits for its disk. Bulk data of a workload with a volume belongs on the volume; its home, including
podman's named volumes, is part of every backup of the home.
"""

from __future__ import annotations

import posixpath
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.compose.model_services import services_of
from eventd.desired.model import FileRole, VolumeUse
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.located import Located
from eventd.kernel.model.names import did_you_mean
from eventd.storage.model_manifest import Wanted
from eventd.unitfiles.model import Line, LineKind
from eventd.unitfiles.model_quadlet import KINDS, split

if TYPE_CHECKING:
    from eventd.desired.model_content import Content
    from eventd.storage.model_manifest import Manifest

_SYSTEM = ("/dev", "/etc", "/proc", "/run", "/sys", "/tmp", "/usr", "/var/run")  # noqa: S108  what binds name
"""Bind mounts of these contain no data of a workload: sockets, certificates, the time zone."""


@dataclass(frozen=True, slots=True)
class _Bind:
    source: str
    """An absolute path, or the name of a podman volume."""
    read_only: bool
    line: Line


def volumes_of(
    name: str,
    content: Content,
    asked: tuple[Located, ...],
    manifest: Manifest,
    bulk: Collection[str] = (),
) -> tuple[tuple[VolumeUse, ...], list[Diagnostic]]:
    """Return the volumes that a workload uses, sorted, and errors about the places of its data.

    `bulk`: names of podman volumes that the workload declares as bulk data.
    """
    found: list[Diagnostic] = []
    paths: dict[str, list[str]] = {}
    binds = list(_binds(content))
    foreign = [b for b in binds if b.source.startswith("/") and not _of_system(b.source, name)]
    if manifest.broken:
        if asked or any(not bind.read_only for bind in foreign):
            place_ = asked[0] if asked else Located("", foreign[0].line.file, foreign[0].line.number)
            message = f"cannot tell which volumes it uses: {manifest.broken[0]}"
            hint = "fix storage.toml; until then the workload is left as it is"
            found.append(_at(place_, "storage-broken", message, hint))
        return (), found
    for text in asked:
        if text.text in manifest.volumes:
            paths.setdefault(text.text, [])
        elif text.text in manifest.elsewhere:
            message = f"the volume {text.text} is not for this host"
            found.append(_at(text, "volume-elsewhere", message, "see hosts of that volume in storage.toml"))
        else:
            hint = did_you_mean(text.text, manifest.volumes)
            message = (
                f"storage.toml has no volume {text.text}" if manifest.present else "there is no storage.toml"
            )
            found.append(_at(text, "unknown-volume", message, hint))
    default = manifest.default
    found.extend(_bulk(name, binds, bulk, manifest))
    advice = f"such as {default.folder(name)}" if default is not None else "see storage.toml"
    for bind in foreign:
        volume = manifest.at(bind.source)
        if volume is not None:
            paths.setdefault(volume.name, []).append(bind.source)
        elif manifest.present and not bind.read_only:
            message = f"{bind.source} is neither on a volume of storage.toml nor in the home"
            hint = f"put it on a volume, {advice}"
            found.append(_finding(bind.line, "bind-outside-storage", message, hint, manifest))
    found.extend(_out_of_service(name, content, paths, asked, binds, manifest))
    if paths:
        for bind in binds:
            if not bind.source.startswith("/"):
                message = f"the podman volume {bind.source} lies in the home, so a backup of the home takes all of it"
                hint = f"bulk data belongs on a volume: bind {manifest.volumes[min(paths)].folder(name)}/…"
                found.append(_finding(bind.line, "named-volume-beside-bulk", message, hint, manifest))
    uses = tuple(
        VolumeUse(
            volume,
            manifest.volumes[volume].path,
            tuple(sorted(set(below))),
            manifest.volumes[volume].schedulable,
        )
        for volume, below in sorted(paths.items())
    )
    return uses, found


def _bulk(
    name: str, binds: Iterable[_Bind], bulk: Collection[str], manifest: Manifest
) -> Iterator[Diagnostic]:
    """Yield an error for each podman volume that is declared as bulk data: a backup of the home includes all of it."""
    for bind in binds:
        if not bind.source.startswith("/") and (volume := bind.source.removesuffix(".volume")) in bulk:
            place_ = manifest.default or next(iter(manifest.volumes.values()), None)
            path = (
                f"{place_.folder(name)}/{volume}"
                if place_ is not None
                else f"a folder of a volume, as /srv/media/{name}"
            )
            message = f"{volume} is bulk data, and a podman volume lies in the home, which a backup takes as a whole"
            yield bind.line.error("bulk-volume", message, f"bind {path} instead")


def _finding(line: Line, code: str, message: str, hint: str, manifest: Manifest) -> Diagnostic:
    """Return a warning, or an error if storage.toml is strict."""
    return (line.error if manifest.strict else line.warning)(code, message, hint)


def _out_of_service(
    name: str,
    content: Content,
    paths: Iterable[str],
    asked: tuple[Located, ...],
    binds: list[_Bind],
    manifest: Manifest,
) -> Iterator[Diagnostic]:
    for each in sorted(paths):
        volume = manifest.volumes[each]
        if volume.state is not Wanted.DECOMMISSIONED or volume.migrated_to:
            continue
        message = (
            f"{each} is decommissioned in storage.toml: {name} waits for a disk that is no longer mounted"
        )
        hint = f"move it to another volume, or: eventctl storage migrate {each} --to OTHER, before that"
        places = [Located(text.text, text.file, text.line) for text in asked if text.text == each]
        places += [Located("", b.line.file, b.line.number) for b in binds if manifest.at(b.source) is volume]
        at = places[0] if places else Located("", content.origin, 0)
        yield Diagnostic(
            Severity.WARNING, at.file, at.line, "storage.volumes", message, hint, "decommissioned-volume"
        )


def _binds(content: Content) -> Iterator[_Bind]:
    yield from _stack_binds(content)
    for part, unit in content.units(FileRole.QUADLET):
        extension = split(part.name)[1]
        if extension not in ("container", "pod"):
            continue
        section = KINDS[extension].section
        for line in unit.values(section, "Volume"):
            source, _, rest = line.value.partition(":")
            if rest and source and not source.startswith((".", "%", "~")):
                options = rest.partition(":")[2].split(",")
                yield _Bind(_normal(source), "ro" in options, line)
        for line in unit.values(section, "Mount"):
            fields = dict(field.partition("=")[::2] for field in line.value.split(","))
            source = fields.get("source", fields.get("src", ""))
            if (
                fields.get("type", "bind") not in ("bind", "volume")
                or not source
                or source.startswith((".", "%", "~"))
            ):
                continue
            read_only = any(
                fields.get(key, "false") in ("", "true") for key in ("ro", "readonly") if key in fields
            )
            yield _Bind(_normal(source), read_only, line)


def _stack_binds(content: Content) -> Iterator[_Bind]:
    """Yield the bind mounts of a compose stack. Errors in its files are reported elsewhere."""
    for origin, service in services_of(content):
        for mount in service.mounts:
            where = f"services/{service.name}"
            line = Line(LineKind.ENTRY, "", origin, mount.line, where, "volumes", mount.source)
            yield _Bind(_normal(mount.source), mount.read_only, line)


def _normal(source: str) -> str:
    return posixpath.normpath(source) if source.startswith("/") else source


def _of_system(path: str, name: str) -> bool:
    return any(path == top or path.startswith(top + "/") for top in (*_SYSTEM, f"/home/{name}"))


def _at(place_: Located, code: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(Severity.ERROR, place_.file, place_.line, "storage.volumes", message, hint, code)
