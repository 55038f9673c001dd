"""What the tests take for granted of the process that runs them."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children that are started have SIGINT's default, whoever started us.

    A shell without job control starts `make test &` with SIGINT ignored, as nohup(1) does with SIGHUP; that
    passes through execve(2), and a child of ours would never end by it. A handler becomes the default there.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
