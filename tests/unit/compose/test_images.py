"""Scope: eventd.compose.process_images and the commands that print documents, with a podman that plays recordings."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventd.compose import main
from tests.unit.compose.fake_podman import FakePodman
from tests.unit.compose.stacks import RECORDED

IMAGE = "3c5e3e5daaf3ee3e574bcd5af21aac5cc8b1afb9acfc0f825d31cfaf95738ed4"
CONFIG = {
    "services": {
        "web": {"image": "registry.example/web:1"},
        "db": {"image": "registry.example/db:1"},
        "own": {"image": "localhost/own:1", "build": {"context": "."}},
        "local": {"image": "localhost/local:1", "pull_policy": "never"},
    }
}


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePodman]:
    """A podman in this process's PATH and working folder."""
    found = FakePodman(tmp_path / "host")
    monkeypatch.chdir(found.folder)
    for key, value in found.environment().items():
        monkeypatch.setenv(key, value)
    (found.folder / "config.json").write_text(json.dumps(CONFIG))
    (found.folder / "pull").write_text("exit 0\n")
    yield found
    found.close()


@pytest.fixture
def ask(fake: FakePodman, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs a command; returns its exit status and its document."""

    def command(word: str, *options: str) -> tuple[int, Any]:
        status = main([word, "--file", str(fake.file), "--project", "demo", *options])
        said = capsys.readouterr().out
        return status, json.loads(said) if said else None

    return command


def image(fake: FakePodman, reference: str, identity: str) -> None:
    """Have podman know an image."""
    document = [{"Id": identity, "RepoDigests": [f"{reference}@sha256:1"]}]
    (fake.folder / f"image-{reference.replace('/', '_').replace(':', '_')}").write_text(json.dumps(document))


def test_digests_say_what_is_wanted_there_and_running(fake: FakePodman, ask: Any):
    """From recordings: what docker-compose makes of the file, what podman has, and the two containers."""
    for name, recording in (("config.json", "config.json"), ("image-localhost_busybox_1", "image.json")):
        (fake.folder / name).write_text((RECORDED / recording).read_text())
    fake.has(json.loads((RECORDED / "completed.json").read_text()))
    status, document = ask("digests")
    assert status == 0
    assert set(document["services"]) == {"app", "migrate"}
    digest = "localhost/busybox@sha256:e0b90e4048b529f2ad32173e77490d9dba46fd5294a4a2bc851ced20abedd4b4"
    assert document["services"]["app"] == {
        "image": "localhost/busybox:1",
        "id": IMAGE,
        "digests": [digest],
        "running": [IMAGE],
    }


def test_an_image_that_is_not_there_has_no_id(ask: Any):
    """It was never pulled."""
    assert ask("digests")[1]["services"]["web"] == {
        "image": "registry.example/web:1",
        "id": None,
        "digests": [],
        "running": [],
    }


def test_a_pull_goes_on_past_a_failure_and_names_it(fake: FakePodman, ask: Any):
    """With podman's reason; and the exit status says that one failed."""
    image(fake, "registry.example/web:1", "new")
    (fake.folder / "pull").write_text(
        'case $1 in *db*) echo "Error: manifest unknown" >&2; exit 125 ;; esac\n'
    )
    status, document = ask("pull")
    assert status == 1
    assert document["ok"] is False
    db, web = document["images"]
    assert db == {
        "image": "registry.example/db:1",
        "before": None,
        "ok": False,
        "reason": "manifest unknown",
    }
    assert (web["image"], web["ok"], web["after"], web["changed"]) == (
        "registry.example/web:1",
        True,
        "new",
        False,
    )


def test_a_pull_says_what_changed(fake: FakePodman, ask: Any):
    """The id before and after; what is built here, or never pulled, is left alone."""
    for name in ("web", "db"):
        image(fake, f"registry.example/{name}:1", "old")
    after = json.dumps([{"Id": "new", "RepoDigests": []}])
    (fake.folder / "pull").write_text(
        f"case $1 in *web*) echo '{after}' >image-registry.example_web_1 ;; esac\n"
    )
    status, document = ask("pull")
    assert status == 0
    found = {one["image"]: (one["before"], one["after"], one["changed"]) for one in document["images"]}
    assert found["registry.example/web:1"] == ("old", "new", True)
    assert set(found) == {"registry.example/web:1", "registry.example/db:1"}


def test_restore_tags_the_images_of_an_earlier_document(
    fake: FakePodman, ask: Any, monkeypatch: pytest.MonkeyPatch
):
    """Those that there were."""
    before = {
        "services": {
            "web": {"image": "registry.example/web:1", "id": "old"},
            "db": {"image": "d", "id": None},
        }
    }
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(before)))
    status, document = ask("restore")
    assert (status, document["ok"]) == (0, True)
    assert fake.calls("podman tag") == ["podman tag old registry.example/web:1"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"services": {"web": {}}}'])
def test_restore_refuses_another_document(
    fake: FakePodman, ask: Any, monkeypatch: pytest.MonkeyPatch, text: str
):
    """Nothing is tagged."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    status, _ = ask("restore")
    assert status != 0
    assert not fake.calls("podman tag")


def test_check_changes_nothing_and_says_what_is_wrong(fake: FakePodman, ask: Any):
    """Missing, unhealthy, foreign, and a file that cannot be read."""
    sick = fake.running("web", health="unhealthy")
    foreign = fake.running("db")
    foreign["Config"]["Labels"]["PODMAN_SYSTEMD_UNIT"] = "other.service"
    fake.has([sick, foreign])
    status, document = ask("check", "--unit", "demo.service", "--needs-file", "/run/secrets/x")
    assert status == 1
    assert document["unreadable"] == ["/run/secrets/x: No such file or directory"]
    status, document = ask("check", "--unit", "demo.service")
    assert (status, document["up"]) == (1, False)
    found = {one["name"]: one["condition"] for one in document["findings"]}
    assert found == {"demo-web-1": "unhealthy", "demo-db-1": "up", "own": "missing", "local": "missing"}
    assert [(one["name"], one["foreign"], one["refused"]) for one in document["leftovers"]] == [
        ("demo-db-1", True, False),
        ("demo-web-1", False, False),
    ]
    assert not fake.calls("podman rm")


def test_check_of_a_good_stack_says_so(fake: FakePodman, ask: Any):
    """Exit status 0."""
    (fake.folder / "config.json").write_text(json.dumps({"services": {"web": {"image": "x"}}}))
    fake.has([fake.running("web", health="healthy")])
    status, document = ask("check")
    assert (status, document["up"], document["leftovers"]) == (0, True, [])


def test_a_file_that_the_provider_refuses_is_a_failure(fake: FakePodman, ask: Any):
    """Not an empty document."""
    (fake.folder / "config.json").unlink()
    podman = fake.folder / "bin/podman"
    podman.write_text("#!/bin/sh\necho 'yaml: line 3: mapping values are not allowed' >&2\nexit 15\n")
    status, document = ask("pull")
    assert (status, document) == (65, None)


def test_down_takes_the_stack_down(fake: FakePodman, ask: Any):
    """What a failed unit left running."""
    web = fake.running("web")
    fake.has([web])
    assert ask("down") == (0, None)
    assert fake.calls("podman stop") == [f"podman stop --ignore {web['Id']}"]
    assert fake.calls("podman rm")
