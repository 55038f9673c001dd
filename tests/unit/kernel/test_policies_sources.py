"""Scope: what is held while a source is away, and what goes on."""

from __future__ import annotations

import pytest

from eventd.accounts.model_actions import CreateAccount
from eventd.desired.model import VolumeUse, Workload
from eventd.kernel.model.action import Action
from eventd.kernel.model.facts import Facts, SourceTrouble
from eventd.kernel.model.source_state import source
from eventd.kernel.model.verdicts import ALLOW, Hold
from eventd.managers.model_actions import EnableLinger, Reload, StartManager, StopManager
from eventd.storage.model_actions import StopForVolume
from eventd.workloads.controller_judging import UNSEEN
from eventd.workloads.model_actions import StartUnit
from eventd.workloads.model_case import Case
from eventd.workloads.model_records import Records
from eventd_policies.sources import sources

PLAIN = Workload("web", (), (), origin="d")
ON_DISK = Workload("web", (), (), origin="d", volumes=(VolumeUse("media", "/srv/media"),))
START = StartUnit("web", "web.service", "d", "it is stopped", 90.0)
STOP = StopForVolume("web", ("web.service",), "gone", 100.0)
AWAY = SourceTrouble("logind-unavailable", "logind is away", "bring it back")


def said(action: Action, workload: Workload = PLAIN, **states: object) -> Hold | None:
    """Judge an action with all sources current but those of `states`."""
    facts = Facts()
    for name in ("systemd", "logind", "mounts", "devices"):
        facts.set(source(name), states.get(name, True))  # type: ignore[arg-type]
    verdict = sources(Case(action, workload, UNSEEN, Records(), facts))
    assert verdict == ALLOW or isinstance(verdict, Hold)
    return verdict if isinstance(verdict, Hold) else None


@pytest.mark.parametrize("action", [CreateAccount("web"), START, Reload("web", "x"), STOP])
def test_without_logind_what_does_not_need_it_goes_on(action: Action) -> None:
    """Accounts, files, reloads and units of a manager that is up."""
    assert said(action, logind=AWAY) is None


@pytest.mark.parametrize("action", [EnableLinger("web"), StartManager("web"), StopManager("web", "x")])
def test_without_logind_what_needs_it_is_held_with_the_cure(action: Action) -> None:
    """It names who is away and what brings it back, and wakes when it is there."""
    hold = said(action, logind=AWAY)
    assert hold is not None
    assert (hold.reason, hold.hint) == ("logind-unavailable", "bring it back")
    assert hold.wakes_on == {source("logind")}
    assert said(action, logind=None) is not None, "on its way back"


def test_nothing_is_done_before_systemds_units_are_read() -> None:
    """Whether a manager is up is not known, and "down" would be a guess."""
    assert said(CreateAccount("web"), systemd=None) is not None


@pytest.mark.parametrize("name", ["mounts", "devices"])
@pytest.mark.parametrize("action", [START, STOP])
def test_what_is_on_a_volume_waits_until_disks_have_been_read(name: str, action: Action) -> None:
    """Least of all is it stopped for a disk that nobody has looked for yet."""
    unread = SourceTrouble("x", "not read")
    assert said(action, ON_DISK, **{name: None}) is not None
    assert said(action, ON_DISK, **{name: unread}) is not None
    assert said(action, PLAIN, **{name: unread}) is None


def test_a_disk_that_goes_while_udev_is_in_trouble_stops_its_workload() -> None:
    """What was read before still counts: the mount that is gone tells enough."""
    old = SourceTrouble("udev-failed", "cannot list", known=True)
    assert said(STOP, ON_DISK, devices=old) is None
