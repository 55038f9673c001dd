"""Scope: all wire tests of the D-Bus adapter and its sources once more, on dbus-next.

The library is chosen when the adapter is imported, so this takes a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eventd.platform.dbus.connection import LIBRARY

HERE = Path(__file__).parent
FILES = (
    "test_dbus.py",
    "test_systemd1.py",
    "test_sources_systemd.py",
    "test_sources_user_managers.py",
    "test_sources_logind.py",
)


@pytest.mark.skipif(LIBRARY != "dbus_fast", reason="this is the process for the other library")
@pytest.mark.timeout(600)
def test_everything_holds_on_dbus_next_too() -> None:
    """EVENTD_DBUS=dbus_next changes the library and nothing else."""
    pytest.importorskip("dbus_next")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            *(str(HERE / name) for name in FILES),
        ],
        env={**os.environ, "EVENTD_DBUS": "dbus_next"},
        cwd=HERE.parent.parent,
        capture_output=True,
        text=True,
        timeout=550,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_an_unknown_library_is_refused() -> None:
    """A typing error in EVENTD_DBUS does not silently take the default."""
    done = subprocess.run(
        [sys.executable, "-c", "import eventd.platform.dbus.connection"],
        env={**os.environ, "EVENTD_DBUS": "dbus_fats"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "dbus_fast or dbus_next" in done.stderr
