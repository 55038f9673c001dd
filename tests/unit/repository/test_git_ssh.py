"""Scope: fetching over ssh with the real ssh client and a server on the loopback: deploy key, host key."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.repository.adapter_git_command import Credentials
from tests.unit.repository.gitremote import ENVIRONMENT, Remote, command

asyncssh = pytest.importorskip("asyncssh", reason="the ssh server of these tests is not installed")

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def remote(remote: Remote) -> Remote:
    """A repository with a commit."""
    remote.commit({"a": b"1"})
    return remote


def make_key(folder: Path, name: str) -> bytes:
    """Make a key pair; return the private part."""
    command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name), cwd=folder)
    return (folder / name).read_bytes()


@contextlib.asynccontextmanager
async def serve(folder: Path) -> AsyncIterator[int]:
    """Serve git-upload-pack to the owner of `folder/deploy`; yield the port."""
    make_key(folder, "server")
    make_key(folder, "deploy")

    served: list[Any] = []

    async def handle(process: Any) -> None:
        served.append(process)
        name, path = shlex.split(process.command)
        assert name == "git-upload-pack"
        assert "EVENTD" not in process.env
        git = subprocess.Popen(  # noqa: ASYNC220  a test's server
            [name, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
        )
        await process.redirect(git.stdin, git.stdout, git.stderr)
        await process.stdout.drain()
        process.exit(git.wait())

    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[str(folder / "server")],
        authorized_client_keys=str(folder / "deploy.pub"),
        process_factory=handle,
        encoding=None,
    )
    try:
        yield server.get_port()
    finally:
        server.close()
        await server.wait_closed()
        # What asyncssh wants to wait for at a process's end is otherwise never awaited, which is said when it
        # is collected: in another test.
        for process in served:
            await process.wait_closed()


def known(folder: Path, port: int, key: str = "server") -> bytes:
    """Write the line of known_hosts."""
    return f"[127.0.0.1]:{port} {(folder / key).with_suffix('.pub').read_text()}".encode()


def url(port: int, remote: Remote) -> str:
    """The URL of the remote."""
    return f"ssh://git@127.0.0.1:{port}{remote.path}"


async def test_a_deploy_key_opens_a_repository(folder: Path, remote: Remote) -> None:
    """The key (also without its last line feed) is used from a private file, which goes away."""
    async with serve(folder) as port:
        (folder / "git-ssh-key").write_bytes((folder / "deploy").read_bytes().rstrip())
        (folder / "git-known-hosts").write_bytes(known(folder, port))
        credentials = Credentials.load(str(folder))
        repository = remote.open(folder, url=url(port, remote), credentials=credentials)
        assert (await repository.fetch()).commit == remote.git("rev-parse", "main")
    assert list((folder / "run").iterdir()) == []
    assert "PRIVATE" not in repr(credentials)


async def test_another_host_key_is_refused(folder: Path, remote: Remote) -> None:
    """A server with another key than the known one gets neither our key nor our trust."""
    async with serve(folder) as port:
        make_key(folder, "impostor")
        credentials = Credentials(
            ssh_key=(folder / "deploy").read_bytes(), known_hosts=known(folder, port, "impostor")
        )
        with pytest.raises(PermanentError) as caught:
            await remote.open(folder, url=url(port, remote), credentials=credentials).fetch()
    assert caught.value.reason == "host-key"


async def test_an_unknown_host_is_not_learned(folder: Path, remote: Remote) -> None:
    """A host that is in no list is refused, the first time as well."""
    async with serve(folder) as port:
        credentials = Credentials(ssh_key=(folder / "deploy").read_bytes())
        with pytest.raises(PermanentError) as caught:
            await remote.open(folder, url=url(port, remote), credentials=credentials).fetch()
    assert caught.value.reason == "host-key"


@pytest.mark.parametrize("key", ["other", None])
async def test_a_wrong_or_missing_key_is_permanent(folder: Path, remote: Remote, key: str | None) -> None:
    """Nobody is asked for a passphrase; the error names the credential."""
    async with serve(folder) as port:
        private = make_key(folder, key) if key else b""
        credentials = Credentials(ssh_key=private, known_hosts=known(folder, port))
        with pytest.raises(PermanentError, match="git-ssh-key") as caught:
            await remote.open(folder, url=url(port, remote), credentials=credentials).fetch()
    assert caught.value.reason == "authentication"


async def test_a_server_that_is_down_is_temporary(folder: Path, remote: Remote) -> None:
    """A refused connection may pass."""
    async with serve(folder) as port:
        credentials = Credentials(ssh_key=(folder / "deploy").read_bytes(), known_hosts=known(folder, port))
        repository = remote.open(folder, url=url(port, remote), credentials=credentials)
    with pytest.raises(TemporaryError) as caught:
        await repository.fetch()
    assert caught.value.reason == "remote-unreachable"
