"""Scope: what a container would write to, and cannot; and a project that is not called as its file says."""

from __future__ import annotations

import pytest

from eventd.kernel.model.diagnostics import Diagnostic, Severity
from tests.unit.desired.trees import container, in_web


def found(files: dict[str, str], code: str) -> list[Diagnostic]:
    result = in_web(files)
    assert not result.refused, result.refused
    mine = [each for each in result.diagnostics if each.code == code]
    assert all(each.severity is Severity.WARNING and each.hint for each in mine)
    return mine


def stack(volume: str, user: str = "") -> dict[str, str]:
    text = f"services:\n  app:\n    image: x\n    volumes:\n      - {volume}\n"
    return {
        "compose.yaml": text + (f"    user: '{user}'\n" if user else "") + "volumes: {data: {}}\n",
        "data/seed.txt": "x",
        "site.conf": "x",
    }


@pytest.mark.parametrize(
    ("volume", "told"),
    [
        ("./data:/data", True),
        (".:/all", True),
        ("./data:/data:ro", False),
        ("./site.conf:/etc/site.conf", False),
        ("data:/data", False),
        ("{type: bind, source: ./data, target: /data}", True),
        ("{type: bind, source: ./data, target: /data, read_only: true}", False),
    ],
)
def test_a_folder_of_the_repository_cannot_be_written_to(volume: str, told: bool) -> None:
    """Told with its line, unless it is mounted read-only, or is a file."""
    rows = found(stack(volume), "read-only-folder")
    assert [(row.file, row.line) for row in rows] == ([("workloads/web/compose.yaml", 5)] if told else [])


def test_nor_by_a_quadlet() -> None:
    """The same mount, the same words."""
    for volume, told in (("./data:/data", 1), ("./data:/data:ro,z", 0), ("./site.conf:/c", 0)):
        files = {"web.container": container(f"Volume={volume}"), "data/a": "x", "site.conf": "x"}
        assert len(found(files, "read-only-folder")) == told


@pytest.mark.parametrize(
    ("user", "volume", "told"),
    [
        ("1000:1000", "/srv/app:/data", True),
        ("1000", "/srv/app:/data:ro", False),
        ("0:0", "/srv/app:/data", False),
        ("", "/srv/app:/data", False),
        ("${UID}", "/srv/app:/data", False),
        ("1000", "data:/data", False),
    ],
)
def test_a_uid_of_a_container_is_not_that_of_the_host(user: str, volume: str, told: bool) -> None:
    """Where it may write to a folder of the host; the hint names the account, the ids and the path."""
    rows = found(stack(volume, user), "mapped-user")
    assert len(rows) == told
    for row in rows:
        assert row.hint == (
            "chown -R web: /srv/app && echo 'podman unshare chown -R 1000:1000 /srv/app' | eventctl shell web"
        )


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("User=1000", "Volume=/srv/app:/data"), True),
        (("User=1000", "UserNS=keep-id:uid=1000", "Volume=/srv/app:/data"), False),
        (("User=1000", "Volume=/srv/app:/data:U"), False),
        (("Volume=/srv/app:/data",), False),
    ],
)
def test_nor_of_a_quadlet_unless_it_is_mapped(lines: tuple[str, ...], told: bool) -> None:
    """`UserNS=keep-id` and `:U` make it its own."""
    assert len(found({"web.container": container(*lines)}, "mapped-user")) == told


def test_a_name_that_the_project_does_not_have_is_told() -> None:
    """With what to write to go on with its volumes, which then is no more told."""
    text = "name: old\nservices:\n  app:\n    image: x\n"
    (row,) = found({"compose.yaml": text}, "project-name")
    assert (row.line, 'project = "old"' in row.hint) == (1, True)
    named = {"compose.yaml": text, "workload.toml": '[compose]\nproject = "old"\n'}
    assert found(named, "project-name") == []
    assert found({"compose.yaml": text.replace("old", "web")}, "project-name") == []


def test_a_committed_env_file_with_a_password_is_told() -> None:
    """By line and variable, without its value."""
    env = "# PASSWORD=x\nPORT=80\nexport DB_PASSWORD='hunter2'\nTOKEN_FILE=/run/x\n"
    (row,) = found({"compose.yaml": "services:\n  app:\n    image: x\n", ".env": env}, "plain-secret")
    assert (row.file, row.line) == ("workloads/web/.env", 3)
    assert "DB_PASSWORD" in row.message
    assert "hunter2" not in str(row)
