"""What the tests take for granted of the process that runs them."""

from __future__ import annotations

import asyncio
import grp
import os
import pwd
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any

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


OURS = ("eventd.", "eventd_handlers.", "eventd_policies.")
LOOK_UPS = (
    (pwd, ("getpwnam", "getpwuid", "getpwall")),
    (grp, ("getgrnam", "getgrgid", "getgrall")),
    (os, ("getgrouplist", "initgroups")),
)


@pytest.fixture(autouse=True, scope="session")
def no_name_service_on_the_loop() -> Iterator[None]:
    """Whatever of eventd's runs on a loop's thread asks no name service: it would block all else while one hangs."""

    def guarded(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*arguments: Any) -> Any:
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if caller.startswith(OURS) and asyncio._get_running_loop() is not None:
                raise AssertionError(f"{caller} calls {name} on the loop's thread")
            return real(*arguments)

        return ask

    with pytest.MonkeyPatch.context() as patch:
        for module, names in LOOK_UPS:
            for name in names:
                patch.setattr(module, name, guarded(name, getattr(module, name)))
        yield
