"""Scope: what an account has of its own, how it is looked for and moved, and the volumes that are not begun anew."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventd.adoption import adapter_account_script as account_script
from eventd.adoption.adapter_account import SystemAccountInspector
from eventd.adoption.model import findings
from eventd.adoption.model_actions import InspectStore
from eventd.adoption.model_facts import AdoptionFact, StoreState, StoreVolume
from eventd.adoption.model_finds import Finds, Project, beside
from eventd.desired.model import Workload
from eventd.files.model_actions import PutFile
from eventd.gates.model import OPEN
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.verdicts import Hold
from eventd.platform.model_facts import Account
from eventd.workloads.model_case import Case
from eventd.workloads.model_observed import Observed
from eventd.workloads.model_records import Ownership, Records, UnitRecord, WorkloadRecord
from eventd.workloads.plan import plan
from eventd_policies.adoption_volumes_beside import volumes_beside
from tests.unit.accounts.test_account_removal import Here
from tests.unit.desired.trees import container, in_web
from tests.unit.workloads.test_plan import ACCOUNT, CONTEXT, NOTHING

STACK = "services:\n  app:\n    image: x\n    volumes: ['data:/d']\nvolumes:\n  data:\n"


def workload(**files: str) -> Workload:
    result = in_web({name.replace("__", "."): text for name, text in files.items()})
    assert result.refused == {}, result.refused
    return result.workloads["web"]


# Which volumes are meant.


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ((), None),
        ((StoreVolume("old_data", "old", "data"),), "old_data"),
        ((StoreVolume("old_data"),), "old_data"),
        ((StoreVolume("data"),), "data"),
        ((StoreVolume("old_other", "old", "other"),), None),
        ((StoreVolume("old_data", "old", "data"), StoreVolume("web_data", "web", "data")), None),
        ((StoreVolume("0" * 64),), None),
    ],
)
def test_a_volume_is_new_beside_one_of_another_name(
    there: tuple[StoreVolume, ...], found: str | None
) -> None:
    """By label, else by name; not where the workload's own is there."""
    rows = beside(workload(compose__yaml=STACK).stores, there)
    assert [other.name for _, other in rows] == ([found] if found else [])


def test_a_quadlet_volume_has_a_name_of_its_own_as_well() -> None:
    """`systemd-data` would be new beside the `data` of a `podman run`."""
    files = {"web__container": container("Volume=data.volume:/d"), "data__volume": "[Volume]\n"}
    there = (StoreVolume("data"),)
    assert [wanted.name for wanted, _ in beside(workload(**files).stores, there)] == ["systemd-data"]
    files["data__volume"] = "[Volume]\nVolumeName=data\n"
    assert beside(workload(**files).stores, there) == ()


def adopted() -> Records:
    return Records({"web": WorkloadRecord("web", 1001, Ownership.ADOPTED, 1)})


def verdict(wanted: Workload, records: Records, *there: StoreVolume) -> Any:
    facts = Facts()
    facts.set(FactKey(AdoptionFact.STORE, "web"), StoreState(there))
    seen: Observed = replace(NOTHING, account=ACCOUNT)
    return volumes_beside(Case(PutFile("web", wanted.files[0], ""), wanted, seen, records, facts, OPEN))


def test_an_adopted_account_is_looked_into_before_anything_is_written() -> None:
    """Once, before the first start, and only where there are volumes; not an account that eventd has made."""
    wanted, seen = workload(compose__yaml=STACK), replace(NOTHING, account=ACCOUNT)
    assert isinstance(plan(wanted, seen, adopted(), CONTEXT)[0], InspectStore)
    for other in (
        plan(wanted, replace(seen, store=StoreState()), adopted(), CONTEXT),
        plan(wanted, seen, replace_ownership(adopted()), CONTEXT),
        plan(workload(web__container=container()), seen, adopted(), CONTEXT),
    ):
        assert not any(isinstance(action, InspectStore) for action in other)


def replace_ownership(records: Records) -> Records:
    row = records.workloads["web"]
    return Records({"web": replace(row, ownership=Ownership.CREATED)})


def test_it_is_held_with_the_name_that_goes_on_and_the_one_that_begins_anew() -> None:
    """And both, written down, end the hold."""
    old = StoreVolume("old_data", "old", "data")
    found = verdict(workload(compose__yaml=STACK), adopted(), old)
    assert isinstance(found, Hold)
    assert (found.reason, "old_data" in found.message) == ("volumes-elsewhere", True)
    assert 'project = "old"' in found.hint
    assert 'project = "web"' in found.hint
    for name in ("old", "web"):
        toml = f'[compose]\nproject = "{name}"\n'
        after = verdict(workload(compose__yaml=STACK, workload__toml=toml), adopted(), old)
        assert not isinstance(after, Hold)
    started = adopted()
    started.units = {"web": {"web.service": UnitRecord("x", 1)}}
    assert not isinstance(verdict(workload(compose__yaml=STACK), started, old), Hold)


# What there is.


def test_what_is_found_is_said_with_what_becomes_of_it() -> None:
    """Each kind in a sentence of its own; an account without a past has none."""
    account = Account("media", 1001, 1001, "/home/media")
    assert findings(account, Finds(), lingers=False) == ()
    said = findings(
        account,
        Finds(
            ("a.container",), ("b.service",), (Project("old", "/srv/old", 2),), (StoreVolume("v"),), 2, "x"
        ),
        lingers=True,
    )
    assert len(said) == 5
    assert "eventctl adopt media --move-aside" in said[0]
    assert "podman compose -p old down" in said[1]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a bit of everything."""
    for path in (
        ".config/containers/systemd/web.container",
        ".config/containers/systemd/web.container.d/a.conf",
        ".config/containers/systemd/notes.txt",
        ".config/systemd/user/old.service",
        ".config/systemd/user/default.target.wants/old.service",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path)
    root = tmp_path / ".local/share/containers/storage"
    (root / "volumes" / "plain").mkdir(parents=True)
    database = sqlite3.connect(root / "db.sql")
    database.execute("CREATE TABLE VolumeConfig (Name TEXT, JSON TEXT)")
    database.execute("CREATE TABLE ContainerConfig (Name TEXT, JSON TEXT)")
    labels = {"com.docker.compose.project": "old", "com.docker.compose.volume": "data"}
    database.execute("INSERT INTO VolumeConfig VALUES ('old_data', ?)", [json.dumps({"labels": labels})])
    database.execute("INSERT INTO ContainerConfig VALUES ('c', ?)", [json.dumps({"labels": labels})])
    database.execute("INSERT INTO ContainerConfig VALUES ('d', 'no json')")
    database.commit()
    database.close()
    return tmp_path


async def test_an_account_is_looked_into(home: Path) -> None:
    """Files that define units, podman's volumes by its database or by folders, projects by labels."""
    account = Account("media", os.geteuid(), os.getegid(), str(home))
    found = await SystemAccountInspector(Here()).inspect(account, timeout=60)
    assert found.quadlets == (
        ".config/containers/systemd/web.container",
        ".config/containers/systemd/web.container.d/a.conf",
    )
    assert found.units == (".config/systemd/user/old.service",)
    assert found.volumes == (StoreVolume("old_data", "old", "data"), StoreVolume("plain"))
    assert found.projects == (Project("old", "", 1),)
    assert found.problem == ""
    (home / ".local/share/containers/storage/db.sql").write_text("no database")
    assert "db.sql" in (await SystemAccountInspector(Here()).inspect(account, timeout=60)).problem


def test_files_are_moved_and_nothing_is_overwritten(home: Path) -> None:
    """Into a folder of the home, with their places; a second time there is nothing to move."""

    def move(folder: str) -> dict[str, Any]:
        argv = [sys.executable, "-I", account_script.__file__, "move", str(home), folder]
        done = subprocess.run(argv, capture_output=True, env={}, check=True, timeout=60)
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    first = move("aside/one")
    assert len(first["moved"]) == 3
    assert (
        home / "aside/one/.config/systemd/user/old.service"
    ).read_text() == ".config/systemd/user/old.service"
    assert (home / ".config/containers/systemd/notes.txt").exists()
    assert move("aside/two")["moved"] == []
    (home / ".config/systemd/user/old.service").write_text("another")
    again = move("aside/one")
    assert (again["moved"], len(again["problems"])) == ([], 1)
    assert (home / ".config/systemd/user/old.service").read_text() == "another"
