"""Who has a port open: asked of this machine's kernel, and control groups of every shape."""

import socket
from pathlib import Path

import pytest

from eventd.platform import sock_diag
from eventd.platform.sock_diag import Owner, open_ports, owner_of

USER = "user.slice/user-1001.slice"
MANAGER = f"{USER}/user@1001.service"


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("system.slice/foo.service", Owner("foo.service")),
        ("system.slice/system-foo.slice/foo@1.service", Owner("foo@1.service")),
        ("system.slice/foo.service/inner.slice/bar.service", Owner("foo.service")),
        (
            f"{MANAGER}/app.slice/web.service/libpod-payload-1",
            Owner("web.service", 1001),
        ),
        (
            f"{MANAGER}/app.slice/web.service/runtime",
            Owner("web.service", 1001),
        ),
        (
            f"{MANAGER}/app.slice/c.service/libpod-payload-1/init.scope",
            Owner("c.service", 1001),
        ),
        (f"{MANAGER}/init.scope", None),
        (f"{USER}/session-4.scope", Owner("session-4.scope")),
        (
            f"{MANAGER}/user.slice/libpod-1.scope/container",
            Owner("libpod-1.scope", 1001),
        ),
        ("system.slice/_cpu.service", Owner("cpu.service")),
        ("init.scope", None),
        ("machine", None),
        ("", None),
    ],
)
def test_the_unit_of_a_control_group_is_the_outermost_that_its_manager_knows(
    path: str, owner: Owner | None
) -> None:
    """What a service or a container makes below itself does not hide it."""
    assert owner_of(path) == owner


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_the_kernel_tells_which_ports_are_open(tmp_path: Path, family: int, address: str) -> None:
    """A port that is bound and not listened at is not open; where no control group is found it is nobody's."""

    def told(port: int) -> list[str]:
        return [host for host, each, _ in sock_diag._listening(family) if each == port]

    with socket.socket(family, socket.SOCK_STREAM) as sock:
        try:
            sock.bind((address, 0))
        except OSError as error:
            pytest.skip(f"no {address} here: {error}")
        port = sock.getsockname()[1]
        assert told(port) == []
        sock.listen()
        assert told(port) == [address]
        assert open_ports(str(tmp_path)) == ()
    assert told(port) == []


def test_folders_are_looked_through_until_all_are_found(tmp_path: Path) -> None:
    """A folder that is in no control group that was asked for is not told; nor is a file."""
    (tmp_path / "a.slice" / "b.service").mkdir(parents=True)
    (tmp_path / "a.slice" / "cgroup.procs").write_text("")
    wanted = {(tmp_path / "a.slice" / name).stat().st_ino for name in ("b.service", "cgroup.procs")}
    assert [path for _, path in sock_diag._folders(frozenset(wanted), str(tmp_path))] == ["a.slice/b.service"]
