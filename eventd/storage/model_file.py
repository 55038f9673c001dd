"""Parses `storage.toml`. Every error has its line.

Pure. An error anywhere makes the whole manifest `broken`: the daemon then keeps the last good one, so that a typo does
not detach a disk. Next: `eventd.desired.model_assembly`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.names import did_you_mean
from eventd.kernel.model.toml_table import Table, choice, load_table, subtable, text_of, texts, unknown
from eventd.mounts.model_options import allowed, is_allowed
from eventd.storage.model_manifest import FILE_SYSTEMS, NOTHING, Backup, IdKind, Manifest, Volume, Wanted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventd.desired.model import Tree

STORAGE_FILE = "storage.toml"
KEYS = (
    "uuid",
    "partuuid",
    "by_id",
    "label",
    "path",
    "options",
    "fstype",
    "default",
    "schedulable",
    "backup",
    "state",
    "migrated_to",
    "hosts",
)
"""Keys of `[volume.NAME]`."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,30}[a-z0-9])?")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{2,62}")
_BY_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+@=-]{0,200}")
_PATH = re.compile(r"(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*){2,8}")
PLACES = ("/srv", "/mnt", "/media")
"""Where a repository may mount volumes; `[storage] paths` of the host's configuration adds others."""


def read_manifest(
    tree: Tree, hostname: str, places: Sequence[str] = PLACES
) -> tuple[Manifest, tuple[Diagnostic, ...]]:
    """Return the volumes that a tree declares for a host, and everything found about the file.

    `places`: the folders in which the host lets volumes be mounted.
    """
    if STORAGE_FILE in tree.refused:
        why = f"it is refused: {tree.refused[STORAGE_FILE]}"
        found = Diagnostic(
            Severity.ERROR, STORAGE_FILE, 0, "", why, "put a regular file in its place", "refused-entry"
        )
        return Manifest(broken=(found,), present=True), (found,)
    if STORAGE_FILE not in tree.files:
        return NOTHING, ()
    return parse_manifest(tree.files[STORAGE_FILE].content, STORAGE_FILE, hostname, places)


def parse_manifest(
    content: bytes, file: str, hostname: str, places: Sequence[str] = PLACES
) -> tuple[Manifest, tuple[Diagnostic, ...]]:
    """Parse a `storage.toml`."""
    table = load_table(content, file)
    if isinstance(table, Diagnostic):
        return Manifest(broken=(table,), present=True), (table,)
    found = unknown(table, ("volume", "strict"))
    strict = table.data.get("strict", False)
    if not isinstance(strict, bool):
        found.append(table.error("wrong-type", "strict must be true or false", "strict"))
        strict = False
    volumes: dict[str, Volume] = {}
    elsewhere: set[str] = set()
    section = subtable(table, "volume", found)
    for name in sorted(section.data) if section else ():
        assert section is not None
        below = subtable(section, name, found)
        if below is None:
            continue
        volume, hosts = _volume(name, below, found, places)
        if hosts is not None and hostname not in hosts:
            elsewhere.add(name)
        elif volume is not None:
            volumes[name] = volume
    if section is not None:
        _together(volumes, elsewhere, section, found)
    broken = tuple(each for each in found if each.severity is Severity.ERROR)
    return Manifest(volumes, frozenset(elsewhere), broken, present=True, strict=strict), tuple(found)


def _volume(
    name: str, table: Table, found: list[Diagnostic], places: Sequence[str]
) -> tuple[Volume | None, tuple[str, ...] | None]:
    """Return a volume (None: it has errors) and the hosts it is for (None: all)."""
    before = len(found)
    found.extend(unknown(table, KEYS))
    if not _NAME.fullmatch(name):
        message = f"{name!r} is not a valid volume name: use a-z, 0-9, _ and -, up to 32 characters"
        found.append(table.error("bad-name", message))
    identity = _identity(table, found)
    path = text_of(table, "path", found)
    values: dict[str, Any] = {}
    if path is None:
        if "path" not in table.data:
            found.append(
                table.error(
                    "missing-key", "a volume needs a path, where it is mounted", hint='path = "/srv/…"'
                )
            )
    else:
        _check_path(path.text, table, found, places)
    if (label := text_of(table, "label", found)) is not None:
        values["label"] = label.text
        if any(ord(char) < 0x20 or char == "\x7f" for char in label.text) or len(label.text) > 100:
            found.append(
                table.error("bad-value", "a label must be one line of up to 100 characters", "label")
            )
    if (fstypes := texts(table, "fstype", found)) is not None:
        values["fstypes"] = tuple(each.text for each in fstypes)
        found.extend(
            table.error("bad-value", f"{each.text!r} is not a valid file system", "fstype")
            for each in fstypes
            if not re.fullmatch(r"[a-z0-9]{2,16}", each.text)
        )
    if (options := texts(table, "options", found)) is not None:
        values["options"] = tuple(each.text for each in options)
        types = values.get("fstypes", FILE_SYSTEMS)
        for index, each in enumerate(options):
            if not is_allowed(each.text, types):
                key = each.text.partition("=")[0]
                near = did_you_mean(key, allowed(types)) if key not in allowed(types) else ""
                hint = (
                    near
                    or "docs/reference/storage.md lists those that may be set; one for each element of the list"
                )
                found.append(
                    Diagnostic(
                        Severity.ERROR,
                        each.file,
                        table.line("options", index) or each.line,
                        f"volume.{name}.options",
                        f"{each.text!r} cannot be a mount option of a volume",
                        hint,
                        "bad-value",
                    )
                )
    for key in ("default", "schedulable"):
        if key in table.data:
            if not isinstance(table.data[key], bool):
                found.append(table.error("wrong-type", f"{key} must be true or false", key))
            else:
                values[key] = table.data[key]
    if (backup := choice(table, "backup", tuple(Backup), found)) is not None:
        values["backup"] = Backup(backup)
    if (state := choice(table, "state", tuple(Wanted), found)) is not None:
        values["state"] = Wanted(state)
    if (migrated := text_of(table, "migrated_to", found)) is not None:
        values["migrated_to"] = migrated.text
    hosts = texts(table, "hosts", found)
    names = None if hosts is None else tuple(each.text for each in hosts)
    if len(found) > before or identity is None or path is None:
        return None, names
    return Volume(name, *identity, path.text, **values), names


def _identity(table: Table, found: list[Diagnostic]) -> tuple[IdKind, str] | None:
    written = [kind for kind in IdKind if kind.value in table.data]
    if len(written) != 1:
        message = (
            "a volume needs a durable id" if not written else "a volume must have exactly one durable id"
        )
        hint = "set uuid, partuuid or by_id: `eventctl storage` shows those of the attached disks"
        found.append(table.error("missing-key" if not written else "bad-value", message, hint=hint))
        return None
    kind = written[0]
    text = text_of(table, kind.value, found)
    if text is None:
        return None
    if not (_BY_ID if kind is IdKind.BY_ID else _ID).fullmatch(text.text):
        hint = "use the name of the link in /dev/disk, without the folder; /dev/sda is not a durable id"
        found.append(
            table.error("bad-value", f"{text.text!r} is not a valid {kind.value}", kind.value, hint=hint)
        )
        return None
    return kind, text.text


def _check_path(path: str, table: Table, found: list[Diagnostic], places: Sequence[str]) -> None:
    if not _PATH.fullmatch(path):
        message = (
            f"{path!r} is not a valid mount point:"
            " use an absolute path of two or more parts, of letters, digits and . _ + -"
        )
        found.append(table.error("bad-value", message, "path", hint="such as /srv/media"))
    elif not in_places(path, places):
        message = f"{path} is outside of the folders where this host allows volumes ({', '.join(places)})"
        hint = (
            "use a path below one of them, or add its folder to paths in [storage] of eventd.toml on the host"
        )
        found.append(table.error("bad-value", message, "path", hint=hint))


def in_places(path: str, places: Sequence[str]) -> bool:
    """Return whether a path lies below one of the folders."""
    return any(path.startswith(place.rstrip("/") + "/") for place in places)


def _together(
    volumes: Mapping[str, Volume], elsewhere: set[str], section: Table, found: list[Diagnostic]
) -> None:
    """Check the volumes against each other."""
    defaults = [volume.name for volume in volumes.values() if volume.default]
    for name in defaults[1:]:
        message = f"{defaults[0]} is already the default, and there can be only one"
        found.append(section.error("bad-value", message, name, "default"))
    ordered = list(volumes.values())
    for index, volume in enumerate(ordered):
        for other in ordered[:index]:
            if volume.path == other.path or (volume.path + "/").startswith(other.path + "/"):
                message = f"{volume.path} is the path of {other.name}, or in it"
                found.append(section.error("duplicate-volume", message, volume.name, "path"))
            elif (other.path + "/").startswith(volume.path + "/"):
                message = f"{other.path} of {other.name} is in {volume.path}"
                found.append(section.error("duplicate-volume", message, volume.name, "path"))
            if (volume.id_kind, volume.id.lower()) == (other.id_kind, other.id.lower()):
                message = f"{other.name} has the same id"
                found.append(section.error("duplicate-volume", message, volume.name, volume.id_kind.value))
        target = volume.migrated_to
        if target and (target == volume.name or target not in {*volumes, *elsewhere}):
            hint = did_you_mean(target, [name for name in volumes if name != volume.name])
            message = f"there is no other volume {target}"
            found.append(section.error("unknown-volume", message, volume.name, "migrated_to", hint=hint))
        if volume.default and volume.state is Wanted.DECOMMISSIONED:
            message = "a volume that is decommissioned cannot be the default"
            found.append(section.error("bad-value", message, volume.name, "default"))
