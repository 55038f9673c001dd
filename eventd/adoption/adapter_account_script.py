"""A program that runs as an account: lists what the account already runs, or moves its files aside.

`eventd.adoption.adapter_account` runs it with the account's rights, so it imports nothing from eventd. It prints one
JSON document. It does not run podman, which would need the account's manager. Instead it reads podman's database (the
schema was tested with 5.4.2) or, if there is none, the names of the volume folders.

    python account_script.py look HOME NAME | move HOME FOLDER
"""

# ruff: noqa: PTH103, PTH104, PTH110, PTH112, PTH118, PTH119, PTH120, PTH123, PTH208
# Paths are plain strings here: the home may contain anything.
# ruff: noqa: T201
# It prints its result.

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

MOST = 500
QUADLETS, UNITS = ".config/containers/systemd", ".config/systemd/user"
KINDS = ("container", "pod", "network", "volume", "kube", "build", "image")
TYPES = ("service", "timer", "socket", "path", "target", "mount", "slice")
PROJECT = "com.docker.compose.project"


class Scan:
    """One scan of a home."""

    def __init__(self, home: str) -> None:
        self.home = home
        self.problems: list[str] = []
        self.quadlets = list(self._below(QUADLETS, _is_quadlet, 4))
        self.units = list(self._below(UNITS, _is_unit, 1))

    def _below(self, top: str, wanted: Callable[[str, str], bool], deep: int) -> Iterator[str]:
        count, start = 0, os.path.join(self.home, top)
        for folder, folders, files in os.walk(start, onerror=self._note):
            folders.sort()
            if folder != start and os.path.relpath(folder, start).count("/") + 1 >= deep:
                folders.clear()
            for name in sorted(files):
                if wanted(name, os.path.basename(folder)) and count < MOST:
                    count += 1
                    yield os.path.relpath(os.path.join(folder, name), self.home)

    def _note(self, error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            self.problems.append(f"{error.filename}: {error.strerror}")

    def store(self, name: str) -> dict[str, Any]:
        """Return the podman volumes, and the compose projects that have containers or volumes."""
        root = self._root(name)
        volumes: dict[str, dict[str, str]] = {}
        containers: list[dict[str, str]] = []
        try:
            path = os.path.join(root, "db.sql")
            if os.path.exists(path):
                database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=2)
                volumes = dict(_rows(database, "SELECT Name, JSON FROM VolumeConfig"))
                containers = [row for _, row in _rows(database, "SELECT Name, JSON FROM ContainerConfig")]
        except sqlite3.Error as error:
            self.problems.append(f"{root}/db.sql: {error}")
        try:
            for each in sorted(os.listdir(os.path.join(root, "volumes")))[:MOST]:
                volumes.setdefault(each, {})
        except OSError as error:
            self._note(error)
        projects: dict[str, dict[str, Any]] = {}
        for labels in (*containers, *volumes.values()):
            if project := _project(labels):
                row = projects.setdefault(project, {"name": project, "folder": "", "containers": 0})
                row["folder"] = row["folder"] or labels.get(f"{PROJECT}.working_dir", "")
        for labels in containers:
            if project := _project(labels):
                projects[project]["containers"] += 1
        return {
            "containers": len(containers),
            "projects": [projects[each] for each in sorted(projects)],
            "volumes": [
                {
                    "name": each,
                    "project": _project(labels),
                    "volume": labels.get("com.docker.compose.volume", ""),
                }
                for each, labels in sorted(volumes.items())
            ],
        }

    def _root(self, name: str) -> str:
        """Return the path of the store (containers-storage.conf(5))."""
        root = os.path.join(self.home, ".local/share/containers/storage")
        try:
            with open(os.path.join(self.home, ".config/containers/storage.conf"), "rb") as file:
                storage = tomllib.load(file).get("storage", {})
            root = str(storage.get("rootless_storage_path") or storage.get("graphroot") or root)
        except FileNotFoundError:
            pass
        except (OSError, tomllib.TOMLDecodeError, AttributeError) as error:
            self.problems.append(f"storage.conf: {error}")
        for word, value in (("$HOME", self.home), ("$UID", str(os.getuid())), ("$USER", name)):
            root = root.replace(word, value)
        return root


def _is_quadlet(name: str, folder: str) -> bool:
    return name.rpartition(".")[2] in KINDS or (name.endswith(".conf") and folder.endswith(".d"))


def _is_unit(name: str, folder: str) -> bool:
    if folder.endswith((".wants", ".requires", ".upholds")):
        return False
    return name.rpartition(".")[2] in TYPES or (name.endswith(".conf") and folder.endswith(".d"))


def _rows(database: sqlite3.Connection, query: str) -> Iterator[tuple[str, dict[str, str]]]:
    for name, text in database.execute(query).fetchmany(MOST):
        try:
            labels = json.loads(text).get("labels") or {}
        except (ValueError, AttributeError):
            labels = {}
        yield str(name), {str(key): value for key, value in labels.items() if isinstance(value, str)}


def _project(labels: dict[str, str]) -> str:
    return labels.get(PROJECT) or labels.get("io.podman.compose.project", "")


def move(scan: Scan, aside: str) -> dict[str, Any]:
    """Stop the units that the account's own files define, then move the files into a folder in its home."""
    files = [path for path in (*scan.quadlets, *scan.units) if not path.endswith(".conf")]
    names = sorted({_unit_of(path) for path in files})
    up = os.path.isdir(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
    runs = up and bool(names)
    if runs:
        _systemctl("stop", *names)
        _systemctl("disable", *(os.path.basename(path) for path in scan.units if path in files))
    moved = []
    for path in (*scan.quadlets, *scan.units):
        target = os.path.join(scan.home, aside, path)
        try:
            os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
            if os.path.lexists(target):
                scan.problems.append(f"{target} already exists")
                continue
            os.rename(os.path.join(scan.home, path), target)
        except OSError as error:
            if os.path.lexists(os.path.join(scan.home, path)):  # else the one before this one has moved it
                scan.problems.append(f"{path}: {error.strerror}")
        else:
            moved.append(path)
    if up:  # also if there was nothing left to move: a move that was cut off may not have come to this
        _systemctl("daemon-reload")
    return {
        "aside": os.path.join(scan.home, aside),
        "moved": moved,
        "stopped": names if runs else [],
        "problems": scan.problems[:5],
    }


def _unit_of(path: str) -> str:
    """Return the unit that a file defines by default; a unit with an explicit name keeps running."""
    name = os.path.basename(path)
    stem, _, kind = name.rpartition(".")
    if kind in TYPES:
        return name
    return f"{stem}.service" if kind in ("container", "kube") else f"{stem}-{kind}.service"


def _systemctl(verb: str, *names: str) -> None:
    """Ignore failures: they mean that a unit is not loaded. The next inspection shows what still runs."""
    if names or verb == "daemon-reload":
        command = ["systemctl", "--user", "--quiet", verb, *(["--", *names] if names else [])]
        subprocess.run(command, capture_output=True, timeout=100, check=False)


def main() -> None:
    """Scan the home, or move files aside."""
    verb, home, argument = sys.argv[1:]
    scan = Scan(home)
    if verb == "move":
        print(json.dumps(move(scan, argument)))
        return
    found = scan.store(argument)
    found |= {"quadlets": scan.quadlets, "units": scan.units, "problems": scan.problems[:5]}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
