"""Scope: names of workloads, hosts and units, durations, and hints at the right spelling."""

from __future__ import annotations

import pytest

from eventd.kernel.model.durations import parse_duration
from eventd.kernel.model.names import (
    DISTRIBUTION,
    did_you_mean,
    nearest,
    unit_is_valid,
    user_problem,
    workload_problem,
)
from eventd.kernel.model.privileged_names import PRIVILEGED


@pytest.mark.parametrize("name", ["web", "_x", "a-b_c9", "a" * 32, "n8n"])
def test_linux_user_names_are_workload_names(name: str) -> None:
    """What useradd(8) takes, and no system account, may be a workload."""
    assert user_problem(name) is None


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "bad-name"),
        ("Web", "bad-name"),
        ("9web", "bad-name"),
        ("123", "bad-name"),
        ("we b", "bad-name"),
        ("wéb", "bad-name"),
        ("web\n", "bad-name"),
        ("-web", "bad-name"),
        ("a" * 33, "bad-name"),
        ("root", "reserved-name"),
        ("systemd-resolve", "reserved-name"),
        ("eventd-git", "reserved-name"),
        ("alice", "protected-name"),
    ],
)
def test_other_names_are_refused(name: str, code: str) -> None:
    """Each kind of bad name has its code."""
    problem = user_problem(name, {"alice"})
    assert problem is not None
    assert problem[0] == code


def test_unit_names_follow_their_rules() -> None:
    """systemd.unit(5)."""
    assert unit_is_valid("a@b.service")
    assert unit_is_valid("a.b-c_d:e.container")
    assert not unit_is_valid("a b.container")
    assert not unit_is_valid("a" * 250 + ".container")


def test_hints_name_the_nearest_spelling_whatever_its_case() -> None:
    """A slip of the pen is answered with the right word; a far one with the choices, if they are few."""
    assert nearest("volumes", ["Volume", "Image"]) == "Volume"
    assert nearest("zzz", ["Volume"]) is None
    assert did_you_mean("publishport", ["PublishPort", "Pod"]) == "did you mean PublishPort?"
    assert did_you_mean("zzz", ["keep", "delete"]) == "one of: delete, keep"
    assert did_you_mean("zzz", [f"k{n}" for n in range(20)]) == ""


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("90s", 90),
        ("2min", 120),
        ("1h 30min", 5400),
        ("1h30m", 5400),
        ("500ms", 0.5),
        (5, 5),
        (1.5, 1.5),
        ("7", 7),
        ("1w", 604800),
    ],
)
def test_durations_are_those_of_systemd_time(value: object, seconds: float) -> None:
    """A number is seconds."""
    assert parse_duration(value) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "value",
    ["", " ", "5 parsec", "-5s", -1, True, None, "s", "1h x", float("inf"), float("nan"), "infinity", "1e9"],
)
def test_what_is_no_duration_is_refused(value: object) -> None:
    """No guess is made, and nothing is endless."""
    with pytest.raises(ValueError, match=r"."):
        parse_duration(value)


@pytest.mark.parametrize(
    "name", ["docker", "wheel", "sudo", "admin", "lxd", "libvirt", "kvm", "disk", "adm", "shadow"]
)
def test_a_name_whose_group_has_rights_is_refused_with_what_it_gives(name: str) -> None:
    """An account docker has a group docker, and dockerd gives its socket to that; an existing record stays readable."""
    problem = workload_problem(name)
    assert problem is not None
    assert (problem[0], PRIVILEGED[name] in problem[1]) == ("privileged-name", True)
    assert user_problem(name) is None


def test_every_privileged_name_says_what_it_gives_and_where_that_is_written() -> None:
    """A sentence each, with its source; whichever of the lists has a name, no workload can be called root."""
    assert all(" " in given and (given.count("(") == given.count(")")) for given in PRIVILEGED.values())
    assert not {"root", "web", "db"} & set(PRIVILEGED)
    assert DISTRIBUTION
