"""Scope: which calendar expressions are accepted where they are written; what they mean is systemd's."""

import pytest

from eventd.unitfiles.model_calendar import calendar_problem

GOOD = [
    "daily",
    "Weekly",
    "Mon 04:00",
    "Mon..Fri 04:00",
    "Mon,Thu 4:05:06",
    "Sat,Sun *-*-* 04:00",
    "*-*-01 03:30",
    "*-*-1,15 03:30 UTC",
    "2026-12-24 18:00 Europe/Berlin",
    "*:0/15",
    "*-*~01 12:00",
    "Tue",
]
BAD = [
    "",
    "every day",
    "Mon 25:00",
    "04:61",
    "Foo 04:00",
    "4 o'clock",
    "Mon 04:00\nExecStart=/bin/sh",
    "Mon\n04:00",
    "%n",
    "04:00 04:00",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_people_write_is_accepted(text: str) -> None:
    """Each of these is one that systemd-analyze(1) calendar takes."""
    assert calendar_problem(text) == ""


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_calendar_expression_is_refused(text: str) -> None:
    """A mistake is found at the push, and nothing gets out of the line that it is written to."""
    assert calendar_problem(text)
