"""Fixtures of the tests that run in a real host, and when those tests are skipped: never by surprise.

Where this is not root they are skipped, saying so. With `CI` or `EVENTD_REQUIRE_HOST` set, and wherever it
is root, a host that cannot be built or booted fails them.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.host import layers, outer
from tests.host.machine import HostError, Machine

MakeMachine = Callable[..., Machine]
_HERE = Path(__file__).parent


def required() -> bool:
    """Whether a machine that cannot boot test hosts is an error."""
    return bool(os.environ.get("CI")) or os.environ.get("EVENTD_REQUIRE_HOST", "0") not in {"", "0"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests below this folder; others in the same run are not touched."""
    reason = outer.why_not()
    for item in items:
        if _HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.host)
        if not item.get_closest_marker("timeout"):
            # The signal method fails one test; the thread method would end the whole run. Not counting
            # fixtures: the first of them may build the tree, and every step of that has its own deadline.
            item.add_marker(pytest.mark.timeout(600, method="signal", func_only=True))
        if reason and not required():
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Add the end of the journal of a failed test's hosts to its report."""
    report = yield
    if report.failed and call.when == "call":
        for name, value in getattr(item, "funcargs", {}).items():
            for machine in value if isinstance(value, _Factory) else [value]:
                if isinstance(machine, Machine):
                    report.sections.append((f"journal of {name} ({machine.hostname})", _tail(machine)))
    return report


def _tail(machine: Machine) -> str:
    try:
        return machine.journal()[-10_000:]
    except (HostError, OSError) as error:
        return str(machine.error(f"it does not answer ({error})"))


class _Factory(list[Machine]):
    """Makes hosts for one test, and keeps them to be closed after it."""

    def __init__(self, host_layers: list[Path]) -> None:
        super().__init__()
        self._layers = host_layers

    def __call__(self, *, boot: bool = True, **options: Any) -> Machine:
        machine = Machine(self._layers, **options)
        self.append(machine)
        if boot:
            machine.boot()
        return machine


@pytest.fixture(scope="session")
def host_layers() -> list[Path]:
    """The trees under every host: Debian, eventd's dependencies, eventd as installed from this checkout."""
    if reason := outer.why_not():
        pytest.fail(f"cannot boot a test host: {reason}", pytrace=False)
    return layers.installed()


@pytest.fixture(scope="module")
def machine_options() -> dict[str, Any]:
    """What `machine` is made with; a module that needs other options overrides this."""
    return {"loops": 2}


@pytest.fixture(scope="module")
def no_tracebacks() -> bool:
    """Whether eventd may not log one; a module that makes it do so overrides this, and says why."""
    return True


def _check_journal(machine: Machine, *, allowed: bool) -> None:
    """Fail if eventd has logged a traceback: whatever a test did to its host, it is no bug of eventd's then."""
    try:
        lines = machine.journal("eventd.service", boot="all").splitlines()
    except (HostError, OSError):
        return  # switched off, or broken by the test
    for number, line in enumerate(lines):
        if "never retrieved" in line or ("Traceback (most recent call last)" in line and not allowed):
            said = "\n".join(lines[max(0, number - 3) : number + 25])
            pytest.fail(
                f"the journal of eventd on {machine.hostname} has a traceback:\n{said}", pytrace=False
            )


@pytest.fixture(scope="module")
def machine(
    host_layers: list[Path], machine_options: dict[str, Any], no_tracebacks: bool
) -> Iterator[Machine]:
    """A running host with eventd installed (and not enabled), the same for all tests of a module."""
    with Machine(host_layers, **machine_options) as booted:
        yield booted
        _check_journal(booted, allowed=not no_tracebacks)


@pytest.fixture
def fresh_machine(host_layers: list[Path], no_tracebacks: bool) -> Iterator[MakeMachine]:
    """Makes running hosts of the test's own: `fresh_machine(hostname=…, files=…, loops=…, boot=True)`."""
    factory = _Factory(host_layers)
    try:
        yield factory
        for machine in factory:
            _check_journal(machine, allowed=not no_tracebacks)
    finally:
        for machine in factory:
            machine.close()
