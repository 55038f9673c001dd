"""A git remote for the tests of the repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.repository.gitremote import Remote, public_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that another account can pass through."""
    with public_folder() as made:
        yield made


@pytest.fixture
def remote(folder: Path) -> Remote:
    """An empty bare repository."""
    return Remote.make(folder / "remote.git")
