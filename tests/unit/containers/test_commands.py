"""`eventctl logs|exec|shell|ps` without a host: who may, what is run, which container is meant, and the streams."""

from __future__ import annotations

import json
import os
import pwd
import sys
from pathlib import Path
from typing import Any

import pytest

from eventd.cli import parser
from eventd.containers import commands_as_account as as_account
from eventd.containers import commands_containers as containers
from eventd.containers import commands_joined as joined
from eventd.containers.commands_as_account import Account
from eventd.kernel.model.errors import PermanentError
from tests.unit.cli.cli_runner import eventctl

WEB = Account("web", 1001, "/home/web")
ME = pwd.getpwuid(os.getuid())
ID = "ab" * 32


def mark(folder: Path, name: str, uid: int, *, retained: bool = False) -> None:
    (folder / f"{name}.json").write_text(json.dumps({"name": name, "uid": uid, "retained": retained}))


def row(**more: Any) -> dict[str, Any]:
    return {
        "Id": ID,
        "Names": ["systemd-web"],
        "State": "running",
        "Status": "Up 3 minutes (healthy)",
        **more,
    }


def parsed(*rows: dict[str, Any]) -> list[containers.Container]:
    return containers.parse(json.dumps(list(rows)).encode())


def test_a_command_line_after_two_dashes_is_left_alone() -> None:
    """Its options are not eventctl's, its own `--` neither."""
    taken = parser.parse(["exec", "--json", "shop", "db", "--", "psql", "--json", "--", "-x"])
    assert (taken.json, taken.workload, taken.container) == (True, "shop", "db")
    assert taken.words == ["psql", "--json", "--", "-x"]


def test_exec_without_a_command_is_a_mistake() -> None:
    """It says how it is written."""
    done = eventctl("exec", "web")
    assert done.code == 2
    assert "eventctl exec web [CONTAINER] -- COMMAND" in done.err


@pytest.mark.parametrize("caller", [1500, 65534])
def test_somebody_else_is_refused_with_the_way_out(caller: int, tmp_path: Path) -> None:
    """Neither root nor the account: an operator asks sudo; whether there is such a workload is not told."""
    for name in ("nosuch", "root", "nobody/../x"):
        with pytest.raises(PermanentError) as refused:
            as_account.account(name, "shell", caller=caller, markers=str(tmp_path))
        assert refused.value.reason == "forbidden"
        assert refused.value.hint == f"sudo eventctl shell {name}"


def test_root_acts_as_the_accounts_that_eventd_has_a_record_of_only(tmp_path: Path) -> None:
    """Not as any account of the host, and not as one that has another number by now."""
    entry = next(each for each in pwd.getpwall() if each.pw_uid == 33 or each.pw_name == "nobody")
    with pytest.raises(PermanentError, match="eventd has no workload"):
        as_account.account(entry.pw_name, "shell", caller=0, markers=str(tmp_path))
    mark(tmp_path, "wiki", 4_000_001)
    with pytest.raises(PermanentError, match="is not the one that eventd uses"):
        as_account.account("wiki", "shell", caller=0, markers=str(tmp_path))
    with pytest.raises(PermanentError) as refused:
        as_account.account("wikki", "shell", caller=0, markers=str(tmp_path))
    assert refused.value.hint == "did you mean wiki?"


def test_a_damaged_record_hides_no_other(tmp_path: Path) -> None:
    """`eventctl state` is who tells of it."""
    mark(tmp_path, "web", 1001)
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "odd.json").write_text('["name"]')
    assert as_account.recorded(str(tmp_path)) == {"web": 1001}
    mark(tmp_path, "left", 1002, retained=True)
    assert as_account.recorded(str(tmp_path)) == {"web": 1001, "left": 1002}
    assert as_account.recorded(str(tmp_path), retained=False) == {"web": 1001}


def test_roots_command_goes_through_two_managers_and_is_in_no_description() -> None:
    """The account's manager runs it; what the journal says of it is a name without the command's words."""
    line = as_account.argv(WEB, ["psql", "password=$SECRET"], terminal=False, caller=0)
    inner = line[line.index("--") + 1 :]
    assert {"--system", "--uid=1001", "--slice=user-1001.slice", "--property=NoNewPrivileges=yes"} <= set(
        line
    )
    assert inner[:2] == ["/usr/bin/systemd-run", "--user"]
    assert inner[-2:] == ["psql", "password=$SECRET"]
    assert line.count("--expand-environment=no") == 2
    described = [each for each in line if each.startswith("--description=")]
    assert len(described) == 2
    assert not [each for each in described if "psql" in each]


def test_an_account_asks_its_own_manager_alone() -> None:
    """It needs nobody else for it."""
    line = as_account.argv(WEB, ["sh"], terminal=True, caller=1001)
    assert line[:2] == ["/usr/bin/systemd-run", "--user"]
    assert "--pty" in line
    assert not [each for each in line if each.startswith("--uid")]


def test_a_container_is_meant_by_any_of_its_names() -> None:
    """Its own, its unit's, its service's, the beginning of its id."""
    (web,) = parsed(row(Labels={"PODMAN_SYSTEMD_UNIT": "front.service", "com.docker.compose.service": "www"}))
    for name in ("systemd-web", "www", "front.service", "front", ID[:12]):
        assert containers.meant([web], name, "site") is web
    with pytest.raises(PermanentError) as refused:
        containers.meant([web], "wwv", "site")
    assert refused.value.reason == "no-such-container"
    assert refused.value.hint == "did you mean www?"


def test_without_a_name_it_is_the_only_one_or_the_workloads_namesake() -> None:
    """And of several others none is guessed."""
    one, two = parsed(row(), row(Id="cd" * 32, Names=["db"]))
    assert containers.meant([one, two], "", "db") in (one, two)
    assert containers.meant([one, two], "", "db").short == "db"
    with pytest.raises(PermanentError) as refused:
        containers.meant([one, two], "", "site")
    assert refused.value.reason == "which-container"
    (stopped,) = parsed(row(State="exited"))
    with pytest.raises(PermanentError) as refused:
        containers.meant([stopped], "", "web")
    assert refused.value.reason == "container-not-running"


@pytest.mark.parametrize("output", [b"{}", b"{", b"\xff", b"3"])
def test_podman_that_answers_nonsense_is_an_error(output: bytes) -> None:
    """The account can put another podman in its place; that gets an error and no traceback."""
    with pytest.raises(PermanentError):
        containers.parse(output)


def test_a_hostile_row_is_dropped_or_tamed() -> None:
    """An id that is an option is no container; other values have to have their types."""
    assert parsed(row(Id="--privileged"), row(Id=7)) == []
    (odd,) = parsed(
        row(Names=[{}], Labels=["x"], Image=3, ExitCode="1", Ports=[None, {"range": "9"}], StartedAt=None)
    )
    assert (odd.name, odd.image, odd.exit_code, odd.since) == ("", "", 0, 0.0)


def streams(tmp_path: Path, given: bytes = b"") -> tuple[int, int, int]:
    (tmp_path / "in").write_bytes(given)
    out = os.O_CREAT | os.O_RDWR
    return (
        os.open(tmp_path / "in", os.O_RDONLY),
        os.open(tmp_path / "out", out, 0o600),
        os.open(tmp_path / "err", out, 0o600),
    )


def test_streams_are_copied_whole_and_the_status_is_the_commands(tmp_path: Path) -> None:
    """In both directions at once, more than a pipe holds."""
    data = os.urandom(1_500_000)
    script = "import sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(d); sys.stderr.write('e'); sys.exit(7)"
    assert joined.run([sys.executable, "-c", script], os.environ, streams=streams(tmp_path, data)) == 7
    assert (tmp_path / "out").read_bytes() == data
    assert (tmp_path / "err").read_bytes() == b"e"


def test_the_command_gets_none_of_our_descriptors(tmp_path: Path) -> None:
    """Nothing but three pipes: no terminal to read keys from, no file to write to later."""
    script = "for f in 0 1 2; do readlink /proc/self/fd/$f; done; ls /proc/$$/fd | wc -l"
    joined.run(["sh", "-c", script], os.environ, streams=streams(tmp_path))
    *pipes, number = (tmp_path / "out").read_text().split()
    assert [each.partition(":")[0] for each in pipes] == ["pipe"] * 3
    assert int(number) <= 4


def test_it_ends_with_the_command_though_somebody_keeps_its_pipes(tmp_path: Path) -> None:
    """A process that was left behind keeps nobody waiting, and neither does input that never ends."""
    source, sink = os.pipe()
    try:
        _, out, err = streams(tmp_path)
        script = "sleep 100 & echo $! >&2; echo said"
        assert joined.run(["sh", "-c", script], os.environ, streams=(source, out, err)) == 0
    finally:
        os.close(source)
        os.close(sink)
    assert (tmp_path / "out").read_text() == "said\n"
    os.kill(int((tmp_path / "err").read_text()), 9)


def test_input_that_nobody_reads_does_no_harm(tmp_path: Path) -> None:
    """`eventctl exec web -- true < file`."""
    assert (
        joined.run(
            ["sh", "-c", "exec 0<&-; echo fine"], os.environ, streams=streams(tmp_path, b"x" * 300_000)
        )
        == 0
    )
    assert (tmp_path / "out").read_text() == "fine\n"
