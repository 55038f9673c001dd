"""Where foreign unit files and drop-ins of a workload's units could be, and under which names.

Pure. The folders are those of systemd.unit(5), "User Unit Search Path", and of podman-systemd.unit(5). The ranks say
which of eventd's files a unit file there would override. `eventd.audit.source` makes a `Foreign` fact of what is found;
`eventd.audit.model` decides what it means.

Not scanned: the generators' folders, whose content systemd makes again at every reload, and those of the distribution
(/usr/lib, /usr/share).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from eventd.desired.model import FileRole, Workload
from eventd.platform.model_facts import Account

WATCH_UNIT = "eventd-audit"
"""Name, without the suffix, of the unit in a user's manager that watches the user's folders."""


class Rank(StrEnum):
    """The precedence of a folder relative to eventd's files."""

    FIRST = "first"
    """Before every generated unit: a unit file here overrides eventd's, of any kind."""
    MIDDLE = "middle"
    """After `generator.early` (companions), before `generator` (Quadlet)."""
    LATE = "late"
    """After both: only drop-ins here matter."""
    QUADLET = "quadlet"
    """Searched by Quadlet's generator before eventd's folder: a file of the same name wins, and drop-ins are merged."""
    QUADLET_LATE = "quadlet-late"
    """Searched after it: only drop-ins matter. Quadlet searches subfolders whose name is not a number."""


@dataclass(frozen=True, slots=True)
class Place:
    """One folder."""

    folder: str
    rank: Rank
    watched: bool = True
    """False: it changes all the time (podman's transient units), so it is scanned only along with the others."""

    def searches(self, name: str) -> bool:
        """Return whether a subfolder of this name is searched: Quadlet does, except for other users' folders."""
        return self.rank is Rank.QUADLET or (self.rank is Rank.QUADLET_LATE and not name.isdecimal())


SYSTEM_PLACES = (
    Place("/etc/systemd/user", Rank.MIDDLE),
    Place("/run/systemd/user", Rank.MIDDLE),
    Place("/usr/local/share/systemd/user", Rank.LATE),
    Place("/usr/local/lib/systemd/user", Rank.LATE),
)
"""Root's own, for all users."""


def system_places(quadlet_root: str) -> tuple[Place, ...]:
    """Return the folders that are the same for all users."""
    return (*SYSTEM_PLACES, Place(quadlet_root, Rank.QUADLET_LATE))


def user_places(account: Account) -> tuple[Place, ...]:
    """Return the folders that a user may write to, with the user's own XDG defaults."""
    home, run = account.home.rstrip("/"), f"/run/user/{account.uid}"
    return (
        Place(f"{home}/.config/systemd/user.control", Rank.FIRST),
        Place(f"{run}/systemd/user.control", Rank.FIRST),
        Place(f"{run}/systemd/transient", Rank.FIRST, watched=False),
        Place(f"{home}/.config/systemd/user", Rank.MIDDLE),
        Place(f"{run}/systemd/user", Rank.MIDDLE),
        Place(f"{home}/.local/share/systemd/user", Rank.LATE),
        Place(f"{run}/containers/systemd", Rank.QUADLET),
        Place(f"{home}/.config/containers/systemd", Rank.QUADLET),
    )


def generated_folders(uid: int) -> tuple[str, ...]:
    """Return the folders that generators write: their content is not foreign, but an edit makes it stale."""
    return f"/run/user/{uid}/systemd/generator", f"/run/user/{uid}/systemd/generator.early"


@dataclass(frozen=True, slots=True)
class Names:
    """The names that concern one workload."""

    units: frozenset[str] = frozenset()
    """Every unit."""
    quadlet_units: frozenset[str] = frozenset()
    """The units that Quadlet's generator makes."""
    drop_ins: frozenset[str] = frozenset()
    """Folders of drop-ins: `web.service.d`, `web-.service.d`, `service.d`."""
    quadlets: frozenset[str] = frozenset()
    """`web.container`, …"""
    quadlet_drop_ins: frozenset[str] = frozenset()
    """`web.container.d`, `container.d`, …"""

    def shadows(self, rank: Rank, name: str) -> bool:
        """Return whether a file of this name, in a folder of this rank, is loaded instead of eventd's."""
        match rank:
            case Rank.FIRST:
                return name in self.units
            case Rank.MIDDLE:
                return name in self.quadlet_units
            case Rank.QUADLET:
                return name in self.quadlets
            case Rank.LATE | Rank.QUADLET_LATE:
                return False

    def drops(self, rank: Rank, name: str) -> bool:
        """Return whether a folder of this name, in a folder of this rank, has drop-ins for eventd's units."""
        if rank in (Rank.QUADLET, Rank.QUADLET_LATE):
            return name in self.quadlet_drop_ins
        return name in self.drop_ins


def names_of(workload: Workload) -> Names:
    """Return the names that concern a workload's units and Quadlet files."""
    units = frozenset(unit.name for unit in workload.units)
    quadlets = frozenset(
        file.name for file in workload.files if file.role is FileRole.QUADLET and "/" not in file.name
    )
    return Names(
        units,
        frozenset(unit.name for unit in workload.units if unit.file_role is FileRole.QUADLET),
        frozenset(_folders(units)),
        quadlets,
        frozenset(_folders(quadlets)),
    )


def drop_in_folders(name: str) -> Iterator[str]:
    """Yield the folders whose drop-ins apply to a unit, in systemd.unit(5) and Quadlet alike.

    `a-b@x.service`: its own, that of the template, those of each prefix that ends in a dash, that of its type.
    """
    stem, _, suffix = name.rpartition(".")
    yield f"{name}.d"
    template, at, _ = stem.partition("@")
    if at:
        yield f"{template}@.{suffix}.d"
    for index, char in enumerate(template):
        if char == "-" and index + 1 < len(stem):
            yield f"{stem[: index + 1]}.{suffix}.d"
    yield f"{suffix}.d"


def _folders(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from drop_in_folders(name)
