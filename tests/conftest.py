"""What the tests take for granted of the process that runs them."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck, settings

# Neither has an example a deadline of its own (a fifth of a second), nor is a slow machine a bad strategy.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

COMPLETE = os.environ.get("EVENTD_REQUIRE_ALL") == "1"
"""A test that is skipped counts as one that failed: what was not tried is not shown."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a failure of a skip where all is required."""
    report = yield
    if COMPLETE and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = (
            "failed",
            f"skipped, and EVENTD_REQUIRE_ALL is set: {report.longrepr}",
        )
    return report


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children that are started have SIGINT's default, whoever started us.

    A shell without job control starts `make test &` with SIGINT ignored, as nohup(1) does with SIGHUP; that
    passes through execve(2), and a child of ours would never end by it. A handler becomes the default there.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
