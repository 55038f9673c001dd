"""Reads folders of plain unit files, for `eventctl gates --units`.

Owns what the entries of a folder mean to systemd (systemd.unit(5)); `eventd.waits.model_folder` makes units of them.
Writes nothing, and follows links to files only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from eventd.kernel.model.errors import PermanentError
from eventd.unitfiles.model_quadlet import KINDS
from eventd.waits.model_declared import NAME
from eventd.waits.model_folder import UNIT_TYPES, TextFile, UnitFiles

MAX_BYTES = 1 << 20
"""The largest unit file that is read, in bytes."""
_PULLS = {"wants": "Wants", "requires": "Requires", "upholds": "Upholds"}


def read_units(folders: Sequence[str]) -> UnitFiles:
    """Read folders of units; earlier ones take precedence. Raises PermanentError(reason="unreadable")."""
    files: dict[str, TextFile] = {}
    links: dict[str, str] = {}
    masked: set[str] = set()
    drop_ins: dict[str, dict[str, TextFile]] = {}
    pulled: list[tuple[str, str, str, str]] = []
    roots = [Path(folder).absolute() for folder in folders]
    for root in roots:
        for path in _entries(root, required=True):
            stem, _, extension = path.name.rpartition(".")
            if path.is_dir():
                if extension == "d":
                    mine = drop_ins.setdefault(stem, {})
                    for conf in _entries(path):
                        if conf.name.endswith(".conf") and conf.is_file():
                            mine.setdefault(conf.name, _read(conf))
                elif extension in _PULLS:
                    pulled += [(stem, _PULLS[extension], each.name, str(each)) for each in _entries(path)]
                continue
            known = path.name in files or path.name in links or path.name in masked
            if known or (extension not in UNIT_TYPES and extension not in KINDS):
                continue
            target = path.readlink().name if path.is_symlink() else path.name
            if target == "null" or (path.is_file() and not path.stat().st_size):
                masked.add(path.name)  # a link to /dev/null, or an empty file
            elif target != path.name:
                links[path.name] = target
            elif path.is_file():
                files[path.name] = _read(path)
    for name, target in tuple(links.items()):
        # A link to a target outside of the folders counts as the file itself (NixOS installs units so).
        where = next((root / name for root in roots if (root / name).is_symlink()), None)
        if target not in files and target not in links and where is not None and where.is_file():
            files[name] = _read(where)
            del links[name]
    return UnitFiles(files, links, frozenset(masked), drop_ins, tuple(dict.fromkeys(pulled)))


def read_waits(folders: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
    """Return the path and content of each existing `waits.toml`."""
    found = [Path(folder, NAME).absolute() for folder in folders]
    return tuple((str(path), _read(path).content) for path in found if path.is_file())


def read_scripts(paths: Iterable[str], folders: Sequence[str]) -> dict[str, str | None]:
    """Return the text of each script that can be read; None for a binary program.

    Each path is tried as it is, and then by its file name in the folders of units, where a checkout may have it.
    """
    found: dict[str, str | None] = {}
    for path in sorted(paths):
        for place in (Path(path), *(Path(folder, Path(path).name) for folder in folders)):
            if place.is_file() and place.stat().st_size <= MAX_BYTES and os.access(place, os.R_OK):
                content = _read(place).content
                found[path] = None if b"\0" in content[:4096] else content.decode("utf-8", "replace")
                break
    return found


def _entries(folder: Path, *, required: bool = False) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        message = f"cannot read the folder {folder}: {error.strerror or error}"
        if isinstance(error, FileNotFoundError) and required:
            message = f"there is no folder {folder}"
        raise PermanentError(message, reason="unreadable") from error
    return (path for path in paths if not path.name.startswith("."))


def _read(path: Path) -> TextFile:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PermanentError(f"{path} is larger than {MAX_BYTES >> 20} MiB", reason="unreadable")
        return TextFile(str(path), path.read_bytes())
    except OSError as error:
        raise PermanentError(f"cannot read {path}: {error.strerror or error}", reason="unreadable") from error
