"""Makes a catalogue of a folder of unit files: drop-ins, aliases, masks, templates, `.wants/` folders.

Pure; `eventd.waits.adapter_unit_folder` reads the files. Owns how systemd assembles a unit (systemd.unit(5)), and adds
the targets that every system has. Next: `eventd.waits.model_build`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from eventd.desired.model_content import drop_in_folders
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.names import unit_is_valid
from eventd.unitfiles.model import UnitFile, merged, parse
from eventd.unitfiles.model_quadlet import KINDS, service_name, split
from eventd.waits.model_catalogue import Catalogue, by_key
from eventd.waits.model_quadlets import spec_of_quadlet
from eventd.waits.model_units import Relation, UnitSpec, spec_of_file

UNIT_TYPES = frozenset(
    {"service", "socket", "target", "timer", "path", "mount", "automount", "slice", "swap", "device", "scope"}
)
_STANDARD: Mapping[str, tuple[str, ...]] = {
    "sysinit.target": (),
    "sockets.target": (),
    "timers.target": (),
    "paths.target": (),
    "slices.target": (),
    "local-fs.target": (),
    "remote-fs.target": (),
    "network.target": (),
    "network-online.target": ("network.target",),
    "basic.target": ("sysinit.target", "sockets.target", "paths.target", "slices.target"),
    "multi-user.target": ("basic.target",),
    "graphical.target": ("multi-user.target",),
}
"""Standard targets -> their `After=` (systemd.special(7)), for folders that do not have them."""


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file and its path."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class UnitFiles:
    """The entries of folders, by unit name."""

    files: Mapping[str, TextFile] = field(default_factory=dict)
    """File name -> file, including templates."""
    links: Mapping[str, str] = field(default_factory=dict)
    """File name of a symlink -> the file name of its target."""
    masked: frozenset[str] = frozenset()
    drop_ins: Mapping[str, Mapping[str, TextFile]] = field(default_factory=dict)
    """`web.service` (of `web.service.d/`) -> file name -> file."""
    pulled: tuple[tuple[str, str, str, str], ...] = ()
    """(unit, `Wants`/`Requires`/`Upholds`, other, path): entries of `unit.wants/` and the like."""


def read_catalogue(found: UnitFiles, named: Iterable[str] = ()) -> tuple[Catalogue, tuple[Diagnostic, ...]]:
    """Return the units of a folder, and the syntax errors in their files.

    Of a template, it has the instances that a unit, a `.wants/` folder or `named` names.
    """
    return _Assembly(found).result(named)


class _Assembly:
    """One pass over a folder."""

    def __init__(self, found: UnitFiles) -> None:
        self.found = found
        self.diagnostics: dict[str, tuple[Diagnostic, ...]] = {}
        self.specs: dict[str, UnitSpec] = {}
        self.aliases: dict[str, str] = {}

    def result(self, named: Iterable[str]) -> tuple[Catalogue, tuple[Diagnostic, ...]]:
        for name in sorted(self.found.files):
            if not _is_template(name):
                self.add(name)
        todo = [*named, *(name for *_, name, _ in self.found.pulled), *self.found.links]
        seen: set[str] = set()
        done: set[str] = set()
        while todo:
            name = todo.pop()
            if name not in seen:
                seen.add(name)
                self.resolve(name)
            for spec in [each for each in self.specs.values() if each.name not in done] if not todo else []:
                done.add(spec.name)
                todo += [relation.other for relation in spec.relations]
        self.standard()
        catalogue = Catalogue(
            by_key(self.specs.values()), {("", other): name for other, name in self.aliases.items()}
        )
        return catalogue, tuple(each for found in self.diagnostics.values() for each in found)

    def add(self, name: str, file: str = "") -> None:
        """Add a unit. `file`: the template's file, for an instance."""
        base = self.found.files[file or name]
        read = self.parsed(base)
        quadlet = split(name)[1] in KINDS
        whole = merged(read, *(self.parsed(each) for each in self.drop_ins(name)))
        made = service_name(name, whole) if quadlet else name
        if quadlet:
            whole = merged(whole, *(self.parsed(each) for each in self.drop_ins(made)))
        if made in self.found.masked or made in self.specs:
            return
        pulls = [
            Relation(kind, other, path, 0, f"{path.rpartition('/')[0].rpartition('/')[2]}/{other}")
            for unit, kind, other, path in self.found.pulled
            if unit == made
        ]
        self.specs[made] = (
            spec_of_quadlet(name, whole) if quadlet else spec_of_file(name, whole, enabled=pulls)
        )
        for word, _ in whole.words("Install", "Alias"):
            if word not in self.found.files:
                self.aliases.setdefault(word, made)

    def parsed(self, file: TextFile) -> UnitFile:
        unit = parse(file.content, file.path)
        if unit.diagnostics:
            self.diagnostics[file.path] = unit.diagnostics
        return unit

    def drop_ins(self, name: str) -> list[TextFile]:
        """Return the drop-ins of a unit in their order; of several with one file name, the most specific."""
        by_name: dict[str, TextFile] = {}
        for folder in sorted(drop_in_folders(name), key=lambda each: (each != name, -len(each))):
            for conf, file in self.found.drop_ins.get(folder, {}).items():
                by_name.setdefault(conf, file)
        return [by_name[conf] for conf in sorted(by_name)]

    def resolve(self, name: str) -> None:
        """Add an alias, or an instance of a template, under its name."""
        if name in self.specs or name in self.found.masked:
            return
        target = self.found.links.get(name, "")
        if target and target != name:
            instance = _instance(name)
            if instance and _is_template(target):  # getty@tty1.service -> getty@.service
                stem, extension = split(target)
                target = f"{stem}{instance}.{extension}"
            if target != name:
                self.resolve(target)
                if target in self.specs or target in self.aliases:
                    self.aliases[name] = self.aliases.get(target, target)
                return
        template = _template(name)
        if template in self.found.files and unit_is_valid(name):
            self.add(name, template)

    def standard(self) -> None:
        """Add the standard targets that units refer to and the folder does not have."""
        todo = [each.other for spec in self.specs.values() for each in spec.relations]
        while todo:
            name = todo.pop()
            missing = name not in self.specs and name not in self.aliases and name not in self.found.masked
            if missing and name in _STANDARD:
                after = tuple(Relation("After", other) for other in _STANDARD[name])
                self.specs[name] = UnitSpec(name, after)
                todo += _STANDARD[name]


def _is_template(name: str) -> bool:
    return split(name)[0].endswith("@")


def _instance(name: str) -> str:
    return split(name)[0].partition("@")[2]


def _template(name: str) -> str:
    stem, extension = split(name)
    prefix, at, instance = stem.partition("@")
    return f"{prefix}@.{extension}" if at and instance else ""
