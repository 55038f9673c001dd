"""Scope: eventd.health.model_checks and what comes of it in assemble: who waits for a check, and for how long."""

from __future__ import annotations

import pytest

from eventd.desired.model import Desired
from eventd.desired.model_assembly import HostRules, assemble
from eventd.gates.model import read_gates
from eventd.health.model_checks import HealthCheck, health_check
from eventd.unitfiles.model import parse
from tests.unit.desired.trees import tree

OWN = "web.container.d/50-eventd.conf"


def made(container: str, options: str = "", service: str = "") -> Desired:
    text = f"[Container]\nImage=localhost/web:1\n{container}\n[Service]\n{service}\n"
    result = assemble(
        tree({"workloads/web/web.container": text, "workloads/web/workload.toml": options}),
        HostRules("alpha"),
    )
    assert not result.refused, result.refused
    return result


def drop_in(result: Desired) -> str:
    return next(f.content for f in result.workloads["web"].files if f.name == OWN).decode()


@pytest.mark.parametrize(
    ("container", "service", "waits"),
    [
        ("HealthCmd=true", "", True),
        ("HealthCmd=true\nNotify=healthy", "", False),
        ("HealthCmd=true\nNotify=false", "", False),
        ("HealthCmd=true\nNotify=true", "", False),
        ("HealthCmd=true\nHealthInterval=disable", "", False),
        ("HealthCmd=none", "", False),
        ("HealthCmd=", "", False),
        ("", "", False),
        ("HealthCmd=true", "Type=oneshot", False),
    ],
)
def test_a_container_with_a_check_is_waited_for_unless_its_file_says_otherwise(
    container: str, service: str, waits: bool
) -> None:
    """`Notify=healthy` comes from eventd's drop-in where the file has a check and no word of its own."""
    result = made(container, service=service)
    assert ("Notify=healthy" in drop_in(result)) is waits
    (unit,) = result.workloads["web"].units
    assert unit.notify_healthy is (waits or "Notify=healthy" in container)


def test_what_the_drop_in_adds_restarts_nothing() -> None:
    """A unit's digest is over the repository's files: a newer eventd waits for the check from the next start on."""
    (checked,) = made("HealthCmd=true").workloads["web"].units
    (before,) = made("HealthCmd=true", 'requires = ["file:/x"]\n').workloads["web"].units
    assert checked.digest == before.digest


def test_a_slow_check_has_the_time_that_it_may_take() -> None:
    """The start period, one interval and one check fit into the start, for systemd and for eventd."""
    slow = "HealthCmd=true\nHealthStartPeriod=5m\nHealthInterval=1m30s\nHealthTimeout=10s"
    result = made(slow)
    assert "TimeoutStartSec=430" in drop_in(result)
    assert result.workloads["web"].options.deadline == 430.0
    result = made(slow, '[health]\ndeadline = "20s"\n', "TimeoutStartSec=50")
    assert "TimeoutStartSec" not in drop_in(result)
    assert result.workloads["web"].options.deadline == 20.0, "what is written goes first"
    result = made("HealthCmd=true")
    assert "TimeoutStartSec" not in drop_in(result)
    assert result.workloads["web"].options.deadline == 90.0


def test_a_duration_that_podman_would_refuse_changes_nothing() -> None:
    """Whether it is one is the generator's to say."""
    found = health_check(
        parse(b"[Container]\nHealthCmd=x\nHealthInterval=soon\nHealthTimeout=-1s\n", "a.container")
    )
    assert found == HealthCheck()


def test_every_running_container_is_expected_not_to_be_unhealthy() -> None:
    """Also one without a check in its file: an image may have one. What is written is not implied once more."""
    gates, mistakes = read_gates(made(""))
    assert not mistakes
    (atom,) = gates["web"].implied
    assert (atom.name, atom.workload, atom.implied, atom.checked) == ("systemd-web", "web", True, False)
    gates, mistakes = read_gates(made("HealthCmd=true", '[health]\nexpect = ["container:web=healthy"]\n'))
    assert not mistakes
    assert gates["web"].implied == ()
    assert gates["web"].healthy == gates["web"].expect
