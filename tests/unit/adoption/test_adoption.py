"""Scope: what speaks against handing an account over, how that is found out, and what the plan makes of a grant."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from eventd.accounts.adapter_signs import SystemAccountSigns
from eventd.adoption import model_handing_back as handing_back
from eventd.adoption.model import Candidate, Grant, Password, Signs, meaning, obstacles
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.facts import FactKey
from eventd.kernel.model.report import WorkloadState
from eventd.platform.model_facts import Account, PlatformFact
from eventd.unitfiles.model import parse
from eventd.workloads.model_records import Ownership
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container, deployed

ANNA = Account("anna", 1000, 1000, "/home/anna", "/bin/bash", (100000, 65536), (100000, 65536))


@pytest.mark.parametrize(
    ("candidate", "reasons"),
    [
        (Candidate(ANNA, Signs()), []),
        (Candidate(ANNA, Signs(), protected="it is root"), ["protected"]),
        (Candidate(ANNA, Signs(), recorded=True), ["already-ours"]),
        (Candidate(ANNA, Signs(), wanted=False), ["no-such-workload"]),
        (Candidate(ANNA, Signs(), sessions=frozenset({"c1"})), ["person-logged-in"]),
        (Candidate(replace(ANNA, subgid=None), Signs()), ["no-subordinate-ids"]),
        (Candidate(ANNA, Signs(Password.USABLE)), ["has-password"]),
        (Candidate(ANNA, Signs(ssh_keys=("/home/anna/.ssh/authorized_keys",))), ["has-ssh-keys"]),
        (Candidate(ANNA, Signs(unknown="no answer")), ["home-unknown"]),
        (
            Candidate(ANNA, Signs(Password.USABLE, ("k",)), protected="p"),
            ["protected"],
        ),
    ],
)
def test_what_speaks_against_it(candidate: Candidate, reasons: list[str]) -> None:
    """Each has a reason and a hint; only what tells of a login can be waved through."""
    found = obstacles(candidate)
    assert [each.reason for each in found] == reasons
    assert all(each.hint for each in found)
    logins = {"has-password", "has-ssh-keys", "home-unknown"}
    assert {each.reason for each in found if each.by_login} == logins & set(reasons)


def test_what_it_means_is_said() -> None:
    """Files, lingering, rights, and that the account is never deleted."""
    text = " ".join(meaning(ANNA, ("/etc/containers/systemd/users/1000",)))
    for word in (
        "/etc/containers/systemd/users/1000",
        "lingering",
        "rights of anna",
        "never deletes",
        "disown anna",
    ):
        assert word in text


@pytest.mark.parametrize(
    ("field", "password"),
    [
        *((field, Password.NONE) for field in ("!", "*", "!$y$hash")),
        *((field, Password.USABLE) for field in ("", "$y$j9T$hash")),
    ],
)
async def test_passwords_are_told_from_locks(tmp_path: Path, field: str, password: Password) -> None:
    """As shadow(5) has it: an empty field is a login without any password."""
    (tmp_path / "shadow").write_text(f"root:*:1::::::\nanna:{field}:2::::::\nannabel:$y$x:2::::::\n")
    assert (await _read_signs(tmp_path)).password is password


async def test_keys_are_found_and_links_are_not_followed(tmp_path: Path) -> None:
    """A folder of keys is one; a link in its place is something that cannot be told."""
    folder = tmp_path / ".ssh"
    assert await _read_signs(tmp_path) == Signs()
    folder.mkdir()
    (folder / "known_hosts").write_text("")
    assert await _read_signs(tmp_path) == Signs()
    (folder / "authorized_keys2").write_text("")
    assert (await _read_signs(tmp_path)).ssh_keys == (f"{folder}/authorized_keys2",)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    found = await _read_signs(tmp_path)
    assert not found.ssh_keys
    assert ".ssh" in found.unknown


async def test_a_home_that_does_not_answer_is_a_sign(tmp_path: Path) -> None:
    """A dead network mount: the look has a deadline."""
    found = await SystemAccountSigns(etc=str(tmp_path)).read(_at(tmp_path), timeout=1e-6)
    assert "did not end" in found.unknown


def _at(home: Path) -> Account:
    return replace(ANNA, uid=os.geteuid(), gid=os.getegid(), home=str(home))


async def _read_signs(home: Path) -> Signs:
    return await SystemAccountSigns(etc=str(home)).read(_at(home), timeout=60)


@virtual()
async def test_a_grant_is_used_once_for_that_very_account() -> None:
    """Refused until it is granted; then adopted, deployed and written down; the grant is gone."""
    story = Story()
    await story.start()
    account = story.world.model.accounts.add("anna", shell="/bin/bash")
    story.push(container("anna"))
    await story.quiet(100)
    assert story.status("anna").reason == "account-exists"
    inventory = story.engine.inventory
    await inventory.grant("anna", Grant(account.uid + 1, 0.0))
    story.engine.loop.ask("anna", None)
    await story.quiet(100)
    assert story.status("anna").reason == "account-exists"
    assert "anna" not in inventory.records.workloads
    await inventory.grant("anna", Grant(account.uid, 0.0))
    story.engine.loop.ask("anna", None)
    await story.quiet(100)
    assert story.status("anna").state is WorkloadState.CONVERGED
    assert inventory.records.workloads["anna"].ownership is Ownership.ADOPTED
    assert (len(inventory.grants), inventory.records.granted) == (0, {})
    await story.kill()


@virtual()
async def test_a_grant_outlives_the_daemon_and_waits_for_a_person_to_leave() -> None:
    """It is written down before anything is done; while somebody is logged in the adoption is held."""
    story = Story()
    await story.start()
    account = story.world.model.accounts.add("anna", shell="/bin/bash")
    story.push(container("anna"))
    await story.quiet(100)
    sessions = FactKey(PlatformFact.SESSIONS, "anna")
    story.dispatcher.facts.set(sessions, frozenset({"c1"}))
    await story.engine.inventory.grant("anna", Grant(account.uid, 0.0))
    story.engine.loop.ask("anna", None)
    await story.quiet(100)
    assert story.status("anna").reason == "person-logged-in"
    assert "anna" not in story.engine.inventory.records.workloads
    await story.kill()
    await story.start()
    await story.quiet(100)
    assert story.status("anna").state is WorkloadState.CONVERGED
    assert story.engine.inventory.records.workloads["anna"].ownership is Ownership.ADOPTED
    await story.kill()


@virtual()
async def test_what_is_given_back_is_left_as_it_is() -> None:
    """Records go, the unit stays up, the workload is refused; what eventd does not have cannot be given back."""
    story = await deployed(container("web"))
    report = await story.engine.commands.disown("web", 0)
    assert [row.reason for row in report.workloads] == ["disowned"]
    await story.quiet(100)
    assert story.status("web").reason == "account-exists"
    assert story.unit("web").up
    records = story.engine.inventory.records
    assert not records.workloads
    assert not records.files
    with pytest.raises(PermanentError) as error:
        await story.engine.commands.disown("web", 0)
    assert error.value.reason == "no-such-workload"
    story.push({"README.md": ""})
    await story.quiet(100)
    assert story.unit("web").up
    await story.kill()


STACK = b"""\
[Unit]
Description=Compose stack shop
[Service]
Type=notify-reload
ExecStart=/usr/bin/eventd-compose run --project shop --unit shop.service --provider /usr/bin/docker-compose \
 --file /etc/eventd/stacks/%U/compose.yaml --env-file /etc/shop.env --needs-file /x --deadline 90 --stop-timeout 10
"""


def test_what_is_handed_back_starts_without_eventd() -> None:
    """What ran is wanted by the manager's start; a stack needs podman alone; the timer that asks the daemon goes."""
    companions = {
        "shop.service": STACK,
        "eventd-update.timer": b"",
        "eventd-update.service": b"",
        "own.service": b"[Service]\nExecStart=/bin/true\n",
    }
    changes = handing_back.changes(companions, ["shop.service", "db.service"])
    assert set(changes) == {
        handing_back.DROP_IN,
        "shop.service",
        "eventd-update.timer",
        "eventd-update.service",
    }
    assert changes["eventd-update.timer"] is changes["eventd-update.service"] is None
    drop_in, stack = changes[handing_back.DROP_IN], changes["shop.service"]
    assert drop_in is not None
    assert drop_in.endswith(b"[Unit]\nWants=db.service\nWants=shop.service\n")
    assert stack is not None
    unit = parse(stack, "shop.service")
    assert not unit.diagnostics
    files = "--file /etc/eventd/stacks/%U/compose.yaml --env-file /etc/shop.env"
    compose = f"/usr/bin/podman compose --project-name shop {files}"
    assert unit.value("Service", "ExecStart") == f"{compose} up --detach --remove-orphans"
    assert unit.value("Service", "ExecStop") == f"{compose} stop"
    assert b"eventd-compose" not in stack


def test_nothing_is_left_for_an_account_on_which_nothing_runs() -> None:
    """No drop-in that wants nothing."""
    assert handing_back.changes({}, []) == {}
