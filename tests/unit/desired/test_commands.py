"""Scope: `eventctl check` and `render` on folders: without a daemon, with and without a generator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.cli_runner import Result, eventctl
from tests.unit.repository.gitremote import public_folder

GOOD = "[Container]\nImage=docker.io/library/nginx:1\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one good and one bad workload."""
    for name, text in (("web", GOOD), ("db", "[Container]\nImgae=x\n")):
        folder = tmp_path / "repository" / "workloads" / name
        folder.mkdir(parents=True)
        (folder / f"{name}.container").write_text(text)
    return tmp_path / "repository"


@pytest.fixture
def good(tree: Path) -> Path:
    (tree / "workloads/db/db.container").write_text(GOOD)
    return tree


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that nobody, as whom root has the generator run, can pass through."""
    with public_folder() as folder:
        yield folder


def generator(folder: Path, script: str) -> str:
    """Write a stand-in for podman's generator, and the configuration that names it; return the latter."""
    program = folder / "generator"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    config = folder / "eventd.toml"
    paths = f'[paths]\ngenerator = "{program}"\ntransforms = "{folder}/none"\n'
    config.write_text(f'[repository]\nurl = "/srv/x"\n{paths}')
    return str(config)


def check(tree: Path, *argv: str) -> Result:
    return eventctl("check", str(tree), "--host", "alpha", *argv)


def test_a_good_folder_is_0(good: Path) -> None:
    """No findings: one line, exit 0."""
    result = check(good, "--no-generator")
    assert (result.code, result.out) == (0, "0 errors, 0 warnings; 2 workloads accepted for alpha\n")


def test_a_mistake_is_told_with_file_and_line(tree: Path) -> None:
    """Each finding begins with a place that an editor can jump to; any error is exit 1."""
    result = check(tree, "--no-generator")
    assert result.code == 1
    assert f"{tree}/workloads/db/db.container:2: error: [Container/Imgae]" in result.out
    assert result.out.splitlines()[-1].endswith("1 workload accepted for alpha, 1 refused")


def test_findings_as_json(tree: Path) -> None:
    """The same for programs, with the paths of the repository."""
    document = json.loads(check(tree, "--no-generator", "--json").out)
    assert (document["workloads"], document["refused"]) == (["web"], ["db"])
    assert document["errors"] >= 1
    assert {each["file"] for each in document["diagnostics"]} == {"workloads/db/db.container"}
    assert document["generator"] == "skipped"


def test_an_absent_generator_is_said_to_be_absent(good: Path, public: Path) -> None:
    """Without podman the check still works, and says on stderr what was not looked at."""
    config = generator(public, "exit 0")
    (public / "generator").unlink()
    result = check(good, "--config", config)
    assert result.code == 0
    assert "is not installed on this host" in result.err


def test_the_generators_complaint_is_an_error_of_the_file_it_names(good: Path, public: Path) -> None:
    """The host's generator has the last word, per workload."""
    complain = (
        'test -e "$QUADLET_UNIT_DIRS/db.container" || exit 0\n'
        'echo "quadlet-generator[1]: converting \\"db.container\\": unsupported key" >&2; exit 1'
    )
    result = check(good, "--config", generator(public, complain))
    assert result.code == 1
    assert f"{good}/workloads/db/db.container: error: " in result.out
    assert "unsupported key" in result.out
    assert "1 workload accepted for alpha, 1 refused" in result.out


def test_an_accepting_generator_adds_nothing(good: Path, public: Path) -> None:
    """A generator without complaints leaves the result as it is."""
    document = json.loads(check(good, "--config", generator(public, "exit 0"), "--json").out)
    assert (document["generator"], document["errors"]) == ("asked", 0)


def test_the_hosts_transforms_are_applied(tree: Path, tmp_path: Path) -> None:
    """--transforms takes the place of the configured folder."""
    folder = tree / "tail"
    folder.mkdir()
    (folder / "echo.container").write_text(GOOD)
    assert "there is no transform tail" in check(tree, "--no-generator").out
    transforms = tmp_path / "transforms"
    transforms.mkdir()
    (transforms / "tail.container").write_text("[Container]\nPull=never\n")
    result = eventctl(
        "render", str(tree), "echo", "--file", "echo.container", "--transforms", str(transforms)
    )
    assert "Pull=never" in result.out


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A mistyped path is not an empty repository."""
    for command in ("check", "render"):
        result = eventctl(command, str(tmp_path / "nowhere"))
        assert result.code == 1
        assert "is not a directory" in result.err


def test_a_mistyped_transforms_folder_is_an_error(good: Path, tmp_path: Path) -> None:
    """A folder that was asked for has to be there."""
    assert check(good, "--transforms", str(tmp_path / "nowhere")).code == 1


def test_the_host_that_is_checked_for_is_asked_for_its_accounts(good: Path, public: Path) -> None:
    """An account or a group of a workload's name is told where it is this host's configuration that is checked with."""
    for name in ("nobody2", "daemon2", "mail", "users"):
        folder = good / "workloads" / name
        folder.mkdir()
        (folder / f"{name}.container").write_text(GOOD)
    config = Path(generator(public, "exit 0"))
    config.write_text(config.read_text() + f'state = "{public}/state"\n[host]\nname = "alpha"\n')
    answer = json.loads(check(good, "--config", str(config), "--json").out)
    found = {each["file"]: (each["severity"], each["code"]) for each in answer["diagnostics"]}
    assert found["workloads/users"] == ("error", "group-exists")
    assert "mail" not in answer["workloads"]
    assert {"nobody2", "daemon2", "web", "db"} <= set(answer["workloads"])
    config.write_text(config.read_text().replace("alpha", "beta"))
    answer = json.loads(check(good, "--config", str(config), "--json").out)
    assert "mail" in answer["workloads"], "what another host has is not known"


def test_a_bad_configuration_is_told(good: Path, tmp_path: Path) -> None:
    """A configuration that the daemon would refuse is not checked with."""
    config = tmp_path / "eventd.toml"
    config.write_text("[repository]\nurl = 1\n")
    result = check(good, "--config", str(config))
    assert result.code == 1
    assert f"{config}:2: [repository.url]" in result.err


def test_render_shows_every_file_with_where_it_comes_from(good: Path) -> None:
    """Each workload, each file, eventd's own drop-in among them."""
    result = eventctl("render", str(good))
    assert result.code == 0
    assert "# === web (from workloads/web)" in result.out
    assert "# --- quadlet web.container (from workloads/web/web.container)\n[Container]\n" in result.out
    assert "(from eventd)" in result.out


def test_render_of_one_workload_leaves_out_the_others_and_their_mistakes(tree: Path) -> None:
    """A bad neighbour does not matter."""
    result = eventctl("render", str(tree), "web")
    assert (result.code, result.err) == (0, "")
    assert "# === db" not in result.out


def test_a_refused_workload_renders_as_its_findings(tree: Path) -> None:
    """There are no files to show; stderr says why, exit 1."""
    result = eventctl("render", str(tree), "db", "--file", "db.container")
    assert (result.code, result.out) == (1, "")
    assert "workloads/db/db.container:2: error:" in result.err


def test_an_unknown_workload_is_an_error_with_the_nearest_name(good: Path) -> None:
    """A typo is not an empty answer."""
    result = eventctl("render", str(good), "wbe")
    assert result.code == 1
    assert "web" in result.err


def test_one_file_is_printed_byte_for_byte(good: Path) -> None:
    """--file gives the file alone, raw: escapes and bytes that are no UTF-8 included."""
    content = b"\x1b[31m\xff\x00 no newline"
    (good / "workloads/web/data.bin").write_bytes(content)
    assert eventctl("render", str(good), "web", "--file", "data.bin").raw == content
    assert eventctl("render", str(good), "--file", "data.bin").raw == content


def test_a_listing_never_prints_raw_escapes(good: Path) -> None:
    """The listing of a hostile repository is safe to look at."""
    (good / "workloads/web/data.txt").write_bytes(b"\x1b]0;owned\x07x\x1b[2J\n")
    assert "\x1b" not in eventctl("render", str(good)).out


def test_an_unknown_or_ambiguous_file_is_an_error(good: Path) -> None:
    """A name that fits no file or two is told with what there is."""
    for name in ("web", "db"):
        (good / f"workloads/{name}/app.conf").write_text(name)
    missing = eventctl("render", str(good), "--file", "nothing.container")
    assert (missing.code, missing.out) == (1, "")
    both = eventctl("render", str(good), "--file", "app.conf")
    assert (both.code, both.out) == (1, "")
    assert "matches 2 files" in both.err
    assert eventctl("render", str(good), "db", "--file", "data:app.conf").out == "db"


def test_render_as_json_holds_the_content(good: Path) -> None:
    """Role, name, mode and content of each file; bytes that are no text in base64."""
    (good / "workloads/web/data.bin").write_bytes(b"\xff")
    document = json.loads(eventctl("render", str(good), "web", "--json").out)
    files = {each["name"]: each for each in document["workloads"][0]["files"]}
    assert files["web.container"]["content"] == GOOD
    assert files["web.container"]["mode"] == "0644"
    assert files["data.bin"]["content_base64"] == "/w=="
    assert document["workloads"][0]["units"][0]["name"] == "web.service"
