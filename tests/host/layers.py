"""What is laid over the Debian tree: eventd's dependencies, then eventd as an operator would install it.

Two layers, so that a change of code costs seconds: `deps` is a virtual environment `/opt/eventd` with
everything but eventd, keyed by pyproject's dependencies; `installed` adds the wheel built from this checkout
and the `systemd/` folder, keyed by their content. Each is the upper folder of an overlay, kept in the cache
(`outer.py`). The host has no network: wheels for its Python are downloaded out here.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import IO, Any, Final

from tests.host import outer, tree

_GLIBC: Final = 41  # of Debian 13: wheels built for this glibc 2.x or an older one run there

_DEPS: Final = """
python3 -m venv /opt/eventd
cd /opt/wheels
/opt/eventd/bin/pip install --quiet --no-index --find-links . --requirement requirements.txt
cd /
rm -r /opt/wheels
/usr/lib/systemd/systemd-update-done
"""

_INSTALL: Final = """
/opt/eventd/bin/pip install --quiet --no-index --no-deps /opt/install/*.whl
if [ -d /opt/install/systemd ]; then
    cp --recursive --no-preserve=ownership /opt/install/systemd/. /
    cd /opt/install/systemd/usr/lib
    [ ! -d sysusers.d ] || systemd-sysusers sysusers.d/*.conf
    # What is below /run is made at every boot.
    [ ! -d tmpfiles.d ] || systemd-tmpfiles --create --exclude-prefix=/run $PWD/tmpfiles.d/*.conf
    cd /
fi
rm -r /opt/install
/usr/lib/systemd/systemd-update-done   # or the first boot would do it again
"""


def installed() -> list[Path]:
    """Return the layers of a host with eventd installed, lowest first; builds what is missing."""
    base = tree.ensure()
    dependencies = _dependencies(base)
    with tempfile.TemporaryDirectory(prefix="eventd-wheel-") as folder:
        wheel = build_wheel(Path(folder))
        units = outer.CHECKOUT / "systemd"
        layer = _cached(
            "installed",
            outer.digest([dependencies.name, _INSTALL, wheel.name, wheel.read_bytes(), *_content(units)]),
            [base, dependencies],
            {"opt/install": [wheel], "opt/install/systemd": [units] if units.is_dir() else []},
            _INSTALL + _links(),
            keep=4,
        )
    return [base, dependencies, layer]


_IN_USE: dict[Path, IO[bytes]] = {}
"""Locks of the layers that this process was told of: between two hosts of its tests no other process prunes them."""


def _dependencies(base: Path) -> Path:
    """Return the layer with the virtual environment of eventd's dependencies."""
    wheels = _wheelhouse(base)
    return _cached(
        "deps",
        outer.digest([base.name, wheels.name, _DEPS]),
        [base],
        {"opt/wheels": sorted(wheels.iterdir())},
        _DEPS,
        keep=2,
    )


def _cached(
    kind: str, key: str, below: list[Path], content: dict[str, list[Path]], script: str, *, keep: int
) -> Path:
    """Return a layer: what the script changes on top of `below`, after the content was put in."""
    final = outer.cache_dir() / f"{kind}-{key}"
    with outer.building(final) as folder:
        if folder:
            for target, sources in content.items():
                (folder / target).mkdir(parents=True, exist_ok=True)
                for source in sources:
                    if source.is_dir():
                        shutil.copytree(source, folder / target, dirs_exist_ok=True, symlinks=True)
                    else:
                        shutil.copy(source, folder / target)
            tree.chroot(below, script, timeout=180, upper=folder)
    os.utime(final)
    if final not in _IN_USE:
        _IN_USE[final] = outer.lock_shared(final)
    outer.prune(kind, final, newest=keep)
    return final


def _links() -> str:
    """Return the commands that put eventd's programs where its units expect them."""
    names = " ".join(_project()["scripts"])
    return f"for name in {names}; do ln -sf /opt/eventd/bin/$name /usr/bin/$name; done\n"


def _project() -> dict[str, Any]:
    return dict(_pyproject()["project"])


def _pyproject() -> dict[str, Any]:
    return tomllib.loads((outer.CHECKOUT / "pyproject.toml").read_text())


def _content(folder: Path) -> list[str | bytes]:
    """Return what identifies a folder's content: names, modes and bytes."""
    parts: list[str | bytes] = []
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            parts += [str(path.relative_to(folder)), str(path.readlink())]
        elif path.is_file():
            parts += [f"{path.relative_to(folder)} {path.stat().st_mode:o}", path.read_bytes()]
    return parts


def _builder() -> Path:
    """Return the Python of an environment with pip and what pyproject's build needs."""
    requires = sorted(_pyproject()["build-system"]["requires"])
    final = outer.cache_dir() / f"builder-{outer.digest([sys.version, *requires])}"
    with outer.building(final) as folder:
        if folder:
            outer.checked([sys.executable, "-m", "venv", folder], timeout=120)
            # Scripts of a moved environment are broken, `python -m` is not.
            outer.checked([folder / "bin/python", "-m", "pip", "install", "--quiet", *requires], timeout=300)
    return final / "bin/python"


def build_wheel(target: Path) -> Path:
    """Build the wheel of this checkout into a folder. The same content gives the same bytes."""
    backend = str(_pyproject()["build-system"]["build-backend"]).partition(".")[0]
    python = _builder()
    outer.checked(
        [python, "-m", backend, "build", "-t", "wheel", "-d", target], timeout=120, cwd=outer.CHECKOUT
    )
    (wheel,) = target.glob("*.whl")
    return wheel


def _wheelhouse(base: Path) -> Path:
    """Return a folder with wheels of all that eventd depends on for the host's Python, and their list."""
    project = _project()
    extras = (entry for group in project.get("optional-dependencies", {}).values() for entry in group)
    requirements = sorted({*project.get("dependencies", ()), *extras})
    version = (base / "usr/bin/python3").readlink().name.removeprefix("python")
    machine = platform.machine()
    final = outer.cache_dir() / f"wheels-{outer.digest([version, machine, *requirements])}"
    with outer.building(final) as folder:
        if folder:
            (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements))
            if requirements:
                _download(folder, version, machine)
    os.utime(final)
    outer.prune("wheels", final, newest=2)
    return final


def _download(folder: Path, version: str, machine: str) -> None:
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(_GLIBC, 4, -1)]
    tags += [f"manylinux{year}_{machine}" for year in ("2014", "2010", "1")]
    outer.checked(
        [
            _builder(), "-m", "pip", "download", "--quiet", "--dest", folder, "--only-binary=:all:",
            f"--python-version={version}", "--implementation=cp", *(f"--platform={tag}" for tag in tags),
            "--requirement", folder / "requirements.txt",
        ],
        timeout=600,
    )  # fmt: skip


if __name__ == "__main__":
    subprocess.run(["du", "-sh", *map(str, installed())], check=True)
