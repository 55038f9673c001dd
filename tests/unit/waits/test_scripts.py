"""Scope: start scripts whose waits nobody declared: found, read, told, and their waits taken into the graph."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eventd.waits.model_folder import read_catalogue
from eventd.waits.model_scripts import Undeclared, named, script_of, undeclared
from tests.unit.cli.cli_runner import Result, eventctl
from tests.unit.waits.waitgraphs import FIXTURES, units

DASHBOARD = """\
[Unit]
After=deploy-proxy.service

[Service]
ExecStart=/usr/bin/python3 -m http.server
"""


def folder(where: Path, files: dict[str, str]) -> Path:
    """Write a folder of units."""
    for name, text in files.items():
        (where / name).write_text(text)
    return where


def lint(where: Path, *argv: str) -> Result:
    """Lint it."""
    return eventctl("gates", "--units", str(where), *argv)


def found(unit: str, contents: dict[str, str | None] | None = None) -> tuple[Undeclared, ...]:
    """Return what is undeclared of one unit."""
    catalogue, _ = read_catalogue(units({"a.service": unit}))
    return undeclared(tuple(catalogue.specs.values()), frozenset(), contents or {})


def signs(command: str) -> list[str]:
    """Return the signs of waiting of one line of a script."""
    (script,) = found(
        "[Service]\nType=oneshot\nExecStart=/opt/s.sh\n", {"/opt/s.sh": f"#!/bin/sh\n{command}\n"}
    )
    return [sign.what for sign in script.signs]


def test_the_seeds_units_without_a_waits_toml_are_no_clean_bill(tmp_path: Path) -> None:
    """Each deploy script could wait for anything: they are counted and listed, and "none is circular" is not said."""
    for path in (FIXTURES / "seed-002").glob("*.service"):
        (tmp_path / path.name).write_text(path.read_text())
    result = lint(tmp_path)
    assert result.code == 0
    assert result.out.endswith(
        "4 units, 0 waits declared, 3 start scripts whose waits are not declared; none of what is known is circular\n"
    )
    assert "deploy-proxy.service: /usr/local/bin/warm_reconcile.py, which cannot be read here" in result.out
    answer = json.loads(lint(tmp_path, "--json").out)
    assert [each["unit"] for each in answer["undeclared"]] == [
        "deploy-dashboard.service",
        "deploy-drone.service",
        "deploy-proxy.service",
    ]


def test_the_seeds_circle_is_found_in_the_script_that_the_unit_runs(tmp_path: Path) -> None:
    """Nobody declared it: the script beside the units asks for a URL, and who is told to serve it comes after."""
    folder(
        tmp_path,
        {
            "deploy-proxy.service": "[Service]\nType=oneshot\nExecStart=/usr/local/bin/deploy.sh proxy\n",
            "deploy-dashboard.socket": "[Unit]\nAfter=deploy-proxy.service\n[Socket]\nListenStream=127.0.0.1:8080\n",
            "deploy-dashboard.service": DASHBOARD,
            "deploy.sh": "#!/bin/sh\nuntil curl -fsS \\\n  http://127.0.0.1:8080/; do sleep 1; done\n",
        },
    )
    result = lint(tmp_path)
    assert result.code == 1
    assert (
        "circular: deploy-proxy.service waits for itself: http://127.0.0.1:8080/ comes only after it"
        in result.out
    )
    assert "deploy.sh:2" in result.out


def test_what_is_declared_is_not_listed(tmp_path: Path) -> None:
    """A wait, or that there is none, is an answer; a unit that is not there is a mistake."""
    unit = "[Service]\nType=oneshot\nExecStart=/opt/deploy.sh\n"
    folder(
        tmp_path, {"a.service": unit, "b.service": unit, "waits.toml": 'waits_for_nothing = ["a.service"]\n'}
    )
    answer = json.loads(lint(tmp_path, "--json").out)
    assert [each["unit"] for each in answer["undeclared"]] == ["b.service"]
    both = 'waits_for_nothing = "a.service"\n[[wait]]\nunit = "b.service"\nfor = "file:/x"\n'
    folder(tmp_path, {"waits.toml": both})
    assert lint(tmp_path).out.endswith("2 units, 1 wait; none is circular\n")
    folder(tmp_path, {"waits.toml": 'waits_for_nothing = ["c.service"]\n'})
    assert lint(tmp_path).code == 2
    assert "waits.toml:1: error: [waits_for_nothing] there is no unit c.service here" in lint(tmp_path).out


@pytest.mark.parametrize(
    ("command", "what"),
    [
        ("curl -fsS https://ci.example.org/ping.", ["https://ci.example.org/ping"]),
        (
            "wget -qO- http://a.example http://b.example:8080/x",
            ["http://a.example", "http://b.example:8080/x"],
        ),
        ('curl "$URL"', ["curl (of what, a variable says)"]),
        ("nc -zv -w 1 db.internal 5432", ["tcp:db.internal:5432"]),
        ("until nc -z localhost 80; do sleep 1; done", ["tcp:localhost:80"]),
        ("systemctl start docker.service", ["unit:docker.service"]),
        ("systemctl is-active --wait web.service", ["unit:web.service"]),
        ("podman wait --condition=healthy web", ["podman wait"]),
        ("docker compose -f x.yaml up -d --wait", ["compose up --wait"]),
        ("docker-compose up --wait", ["compose up --wait"]),
        ("while ! pg_isready -h db; do sleep 1; done", ["a loop", "sleep", "a database's readiness"]),
        ("requests.get(url)", ["a request"]),
        ("systemctl --no-block start other.service", []),
        ("systemctl is-active web.service", []),
        ("# curl https://ci.example.org", []),
        ("while read -r line; do echo $line; done", []),
        ("mkdir -p /srv/x", []),
    ],
)
def test_signs_of_waiting(command: str, what: list[str]) -> None:
    """What asks or waits is told by what it asks for; what does neither is not."""
    assert signs(command) == what


@pytest.mark.parametrize(
    ("command", "path", "text"),
    [
        ("/opt/x.sh --now", "/opt/x.sh", "/opt/x.sh --now"),
        ("-@/bin/sh -ec 'curl http://x'", "", "curl http://x"),
        ("/usr/bin/env A=1 bash /opt/x.sh", "/opt/x.sh", ""),
        ("/usr/bin/python3 -u /opt/x.py", "/opt/x.py", ""),
        ("curl http://x", "/usr/bin/curl", "curl http://x"),
    ],
)
def test_the_script_of_a_command(command: str, path: str, text: str) -> None:
    """Interpreters, prefixes and bare names are looked through."""
    script = script_of(command)
    assert script is not None
    assert (script.path, script.text) == (path, text)


@pytest.mark.parametrize("command", ["", "/bin/bash", "/usr/bin/python3 --version"])
def test_a_command_without_a_script(command: str) -> None:
    """An interpreter that is given nothing to run."""
    assert script_of(command) is None


def test_a_program_is_no_script_unless_it_asks() -> None:
    """A binary that could be read, or that a distribution has; curl itself asks by what it is given."""
    unit = "[Service]\nType=oneshot\nExecStart={}\n"
    assert found(unit.format("/opt/server"), {"/opt/server": None}) == ()
    assert found(unit.format("/usr/bin/true")) == ()
    ((curl,),) = (each.signs for each in found(unit.format("/usr/bin/curl -f http://127.0.0.1/")))
    assert curl.what == "http://127.0.0.1/"


def test_only_what_holds_up_the_start_counts() -> None:
    """The main process of a simple service waits for whatever it likes: its start job has ended."""
    text = "[Service]\nExecStart=/opt/main.sh\nExecStartPre=/opt/pre.sh\nExecStop=/opt/stop.sh\n"
    assert [each.script for each in found(text)] == ["/opt/pre.sh"]
    catalogue, _ = read_catalogue(units({"a.service": text}))
    assert named(catalogue.specs.values()) == {"/opt/pre.sh"}
