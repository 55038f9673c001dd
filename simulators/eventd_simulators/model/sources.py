"""Where a manager's units come from: the user's generators and folders, or the system's fixed set.

The search order is that of systemd.unit(5), "User Unit Search Path": generator.early, the home's
`~/.config/systemd/user`, `/etc/systemd/user`, generator, and what the distribution installs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from eventd.platform.model_facts import Account, LoadState
from eventd_simulators.model import quadlet
from eventd_simulators.model.definition import Definition, define, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventd_simulators.model.files import FileTree

UNIT_SUFFIXES = (".service", ".timer", ".socket", ".path", ".target", ".mount", ".slice")
NETWORK_WAIT = 90.0
"""Seconds that podman-user-wait-network-online.service polls before it gives up."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where eventd's files are, as on a real host."""

    root: str = ""
    """The folder that stands for `/`, in front of each of the others."""

    @property
    def quadlets(self) -> str:
        """Quadlet files, as `<quadlets>/<uid>`."""
        return f"{self.root}/etc/containers/systemd/users"

    @property
    def units(self) -> str:
        """Companion units, as `<units>/<uid>`."""
        return f"{self.root}/etc/eventd/units"

    @property
    def linger(self) -> str:
        """The flag files."""
        return f"{self.root}/var/lib/systemd/linger"

    @property
    def user_units(self) -> str:
        """Unit files of the administrator for all users."""
        return f"{self.root}/etc/systemd/user"

    @property
    def system_units(self) -> str:
        """Unit files of the administrator for the system."""
        return f"{self.root}/etc/systemd/system"


class UserUnits:
    """The units of one user."""

    def __init__(self, tree: FileTree, account: Account, folders: Folders) -> None:
        self._tree = tree
        self._account = account
        self._folders = folders
        self.files: Mapping[str, bytes] = {}

    def read(self) -> Mapping[str, Definition]:
        """Run both generators, and read the unit folders in order of precedence."""
        home, uid = self._account.home, self._account.uid
        folders = (f"{self._folders.quadlets}/{uid}", f"{self._folders.units}/{uid}")
        paths = (f"{folder}/{name}" for folder in folders for name in self._tree.names(folder))
        self.files = {path: self._tree.read(path) or b"" for path in paths}
        runtime = f"/run/user/{uid}/systemd"
        found: dict[str, Definition] = {}
        companions = f"{self._folders.units}/{uid}"
        for folder, fragments, state in (
            (companions, f"{runtime}/generator.early", "generated"),
            (f"{home}/.config/systemd/user", f"{home}/.config/systemd/user", "disabled"),
            (self._folders.user_units, self._folders.user_units, "disabled"),
        ):
            for name in self._tree.names(folder):
                if "/" not in name and name.endswith(UNIT_SUFFIXES) and name not in found:
                    source = f"{folder}/{name}" if folder == companions else ""
                    found[name] = self._unit_file(
                        f"{folder}/{name}", name, f"{fragments}/{name}", source, state
                    )
        for name, definition in self._quadlets(runtime).items():
            found.setdefault(name, definition)
        for definition in (*STATIC_USER_UNITS, self._network()):
            found.setdefault(definition.name, definition)
        with_drop_ins = {name: self._drop_ins(definition) for name, definition in found.items()}
        return _with_wants(with_drop_ins)

    def instance(self, name: str) -> Definition | None:
        """Return nothing: no templates here."""
        del name
        return None

    def outdated(self, definition: Definition) -> bool:
        """Return whether source, fragment or drop-ins are newer than what was loaded (NeedDaemonReload)."""
        if any(self._tree.fingerprint(path) != was for path, was in definition.prints):
            return True
        return self._drop_in_paths(definition.name) != definition.drop_ins

    def _quadlets(self, runtime: str) -> dict[str, Definition]:
        found: dict[str, Definition] = {}
        # The user's own folder comes first, so a file of the same name there shadows eventd's.
        for folder in (
            f"{self._account.home}/.config/containers/systemd",
            f"{self._folders.quadlets}/{self._account.uid}",
        ):
            files = {name: self._tree.read(f"{folder}/{name}") or b"" for name in self._tree.names(folder)}
            for service, (name, definition) in quadlet.generate(files).items():
                path = f"{folder}/{name}"
                found.setdefault(
                    service,
                    replace(
                        definition,
                        fragment=f"{runtime}/generator/{service}",
                        source=path,
                        file_state="generated",
                        prints=((path, self._tree.fingerprint(path)),),
                    ),
                )
        return found

    def _unit_file(self, path: str, name: str, fragment: str, source: str, state: str) -> Definition:
        content = self._tree.read(path)
        if content is None or not content.strip():
            # A symlink to /dev/null, or an empty file, masks (systemd.unit(5)).
            return Definition(name, load=LoadState.MASKED, fragment=fragment, file_state="masked")
        definition = define(name, parse(content.decode(errors="replace")), fragment=fragment, source=source)
        prints = ((path, self._tree.fingerprint(path)),)
        return replace(definition, file_state=state, prints=prints)

    def _drop_in_paths(self, name: str) -> tuple[str, ...]:
        home, uid = self._account.home, self._account.uid
        folders = {
            f"{home}/.config/systemd/user": f"{home}/.config/systemd/user",
            self._folders.user_units: self._folders.user_units,
            f"{self._folders.units}/{uid}": f"/run/user/{uid}/systemd/generator.early",
        }
        found: dict[str, str] = {}
        for folder, shown in folders.items():
            for file in self._tree.names(f"{folder}/{name}.d"):
                if file.endswith(".conf"):
                    found.setdefault(file, f"{shown}/{name}.d/{file}")
        return tuple(found[file] for file in sorted(found))

    def _drop_ins(self, definition: Definition) -> Definition:
        return replace(definition, drop_ins=self._drop_in_paths(definition.name))

    def _network(self) -> Definition:
        return Definition(
            quadlet.NETWORK,
            fragment=f"/usr/lib/systemd/user/{quadlet.NETWORK}",
            file_state="static",
            type="oneshot",
            remain=True,
            start_timeout=NETWORK_WAIT,
        )


def _with_wants(definitions: Mapping[str, Definition]) -> dict[str, Definition]:
    """Invert `WantedBy=`: generators make the `.wants` links of what they generate."""
    result = dict(definitions)
    for name, definition in definitions.items():
        if definition.file_state not in ("generated", "enabled"):
            continue
        for target in definition.wanted_by:
            wanting = result.get(target)
            if wanting is not None:
                after = (*wanting.after, name) if target.endswith(".target") else wanting.after
                result[target] = replace(wanting, wants=(*wanting.wants, name), after=after)
    return result


def _static(name: str, folder: str, **more: object) -> Definition:
    return Definition(name, fragment=f"{folder}/{name}", file_state="static", **more)  # type: ignore[arg-type]


_USER = "/usr/lib/systemd/user"
_SYSTEM = "/usr/lib/systemd/system"
STATIC_USER_UNITS = (
    _static("basic.target", _USER),
    _static("default.target", _USER, requires=("basic.target",), after=("basic.target",)),
    _static("podman.socket", _USER),
    # Installed with eventd; its drop-ins make every Quadlet unit want it.
    _static("eventd-podman-pause.service", _USER, type="oneshot", remain=True),
    _static("timers.target", _USER),
    _static("sockets.target", _USER),
)


class SystemUnits:
    """The system manager's units: what eventd looks at, and whatever a test adds."""

    def __init__(self, tree: FileTree, folders: Folders, *, online: bool) -> None:
        self.files: Mapping[str, bytes] = {}
        self._tree = tree
        self._folder = folders.system_units
        self.more: dict[str, Definition] = {}
        wants = ("systemd-logind.service", "dbus.service", *(("network-online.target",) if online else ()))
        self._fixed = {
            definition.name: definition
            for definition in (
                _static("basic.target", _SYSTEM),
                _static("network.target", _SYSTEM),
                _static("network-online.target", _SYSTEM, after=("network.target",)),
                _static("multi-user.target", _SYSTEM),
                _static("default.target", _SYSTEM, wants=wants, after=wants),
                _static("systemd-logind.service", _SYSTEM, type="notify"),
                _static("dbus.service", _SYSTEM, type="notify"),
                _static("user.slice", _SYSTEM),
            )
        }

    def read(self) -> Mapping[str, Definition]:
        """Return the fixed set, what was added, and the files in /etc/systemd/system."""
        found = {**self._fixed, **self.more}
        folder = self._folder
        for name in self._tree.names(folder):
            content = self._tree.read(f"{folder}/{name}")
            if "/" not in name and content is not None and name.endswith(UNIT_SUFFIXES):
                path = f"{folder}/{name}"
                definition = define(name, parse(content.decode(errors="replace")), fragment=path)
                prints = ((path, self._tree.fingerprint(path)),)
                found[name] = replace(definition, file_state="enabled", prints=prints)
        return _with_wants(found)

    def instance(self, name: str) -> Definition | None:
        """Return `user@UID.service` and `run-user-UID` like units."""
        if name.startswith("user@") and name.endswith(".service"):
            return Definition(
                name,
                fragment=f"{_SYSTEM}/user@.service",
                file_state="static",
                type="notify",
                start_timeout=90.0,
                stop_timeout=120.0,
            )
        return None

    def outdated(self, definition: Definition) -> bool:
        """Return whether a file changed since it was loaded."""
        return any(self._tree.fingerprint(path) != was for path, was in definition.prints)
