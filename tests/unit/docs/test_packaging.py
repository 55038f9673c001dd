"""Scope: what `pip install .` installs: the packages, the commands, the licence, and nothing else."""

from __future__ import annotations

import configparser
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
# Building asks the registry for the build backend, into an environment of its own.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--no-deps",
            "--wheel-dir",
            str(folder),
            str(CHECKOUT),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def information(wheel: zipfile.ZipFile, name: str) -> str:
    (found,) = [each for each in wheel.namelist() if each.endswith(f".dist-info/{name}")]
    return wheel.read(found).decode()


def test_the_wheel_installs_four_packages_and_nothing_that_others_may_own(wheel: zipfile.ZipFile) -> None:
    """No top-level `tests`, `handlers`, `policies`, `simulators`: they would overwrite somebody else's."""
    top = {name.split("/")[0] for name in wheel.namelist()}
    packages = {name for name in top if not name.endswith(".dist-info")}
    assert packages == {"eventd", "eventd_handlers", "eventd_policies", "eventd_simulators"}


def test_every_module_is_in_the_wheel_and_no_test_is(wheel: zipfile.ZipFile) -> None:
    """What the checkout has is installed, file for file."""
    roots = {
        "eventd": CHECKOUT / "eventd",
        "eventd_handlers": CHECKOUT / "handlers/eventd_handlers",
        "eventd_policies": CHECKOUT / "policies/eventd_policies",
        "eventd_simulators": CHECKOUT / "simulators/eventd_simulators",
    }
    expected = {
        f"{package}/{path.relative_to(root)}"
        for package, root in roots.items()
        for path in root.rglob("*.py")
    }
    found = {name for name in wheel.namelist() if name.endswith(".py")}
    assert found == expected
    assert not [name for name in found if "/test_" in name or "conftest" in name]


def test_the_commands_lead_to_functions_that_exist(wheel: zipfile.ZipFile) -> None:
    """Every program that units and people start, each importable."""
    parser = configparser.ConfigParser()
    parser.read_string(information(wheel, "entry_points.txt"))
    commands = dict(parser["console_scripts"])
    assert set(commands) == {"eventd", "eventctl", "eventd-webhook", "eventd-compose", "eventd-volume"}
    for target in commands.values():
        module, _, function = target.partition(":")
        script = f"import {module} as m; assert callable(m.{function})"
        subprocess.run([sys.executable, "-c", script], check=True, timeout=60, cwd="/")


def test_it_is_typed_and_carries_its_licence(wheel: zipfile.ZipFile) -> None:
    """py.typed for type checkers; the Apache licence in full."""
    assert "eventd/py.typed" in wheel.namelist()
    assert "Apache License" in information(wheel, "licenses/LICENSE")
    metadata = information(wheel, "METADATA")
    assert "License-Expression: Apache-2.0" in metadata
    assert "Requires-Python: >=3.11" in metadata
    assert "# eventd" in metadata, "the README is the description"


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/install.md"])
def test_every_command_is_linked_by_the_guide(page: str) -> None:
    """The guide links and removes by a pattern, and no script of pyproject.toml has another name."""
    scripts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["scripts"]
    assert all(name.startswith("event") for name in scripts)
    text = (CHECKOUT / page).read_text()
    assert "ln -sf /opt/eventd/bin/event* /usr/bin/\n" in text
    assert not [name for name in scripts if f"/usr/bin/{name} " in text], "links one by one go out of date"


def test_the_guide_links_at_an_upgrade_too_and_unlinks_at_the_end() -> None:
    """A release may bring another program."""
    text = (CHECKOUT / "docs/how-to/install.md").read_text()
    upgrade = text.partition("## Upgrade")[2].partition("\n## ")[0]
    assert "ln -sf /opt/eventd/bin/event* /usr/bin/\n" in upgrade
    assert "find /usr/bin -lname '/opt/eventd/bin/*' -delete" in text.partition("## Remove")[2]
