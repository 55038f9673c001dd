"""Scope: fetching over https with real git, TLS and git-http-backend: tokens, certificates, redirects."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError
from eventd.platform.processes import process
from eventd.platform.processes.unit_rights import AsService, RunAs
from eventd.repository.adapter_git_command import Credentials
from tests.unit.repository.githttp import Server, serve
from tests.unit.repository.gitremote import Remote

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from eventd.repository.adapter_git import GitRepository

TOKEN = "s3cret/token+with:odd%characters"


@pytest.fixture
def remote(remote: Remote) -> Remote:
    """A repository with a commit."""
    remote.commit({"a": b"1"})
    return remote


def over(server: Server, remote: Remote, folder: Path, token: str = TOKEN, **more: Any) -> GitRepository:
    """Return eventd's side over https."""
    more.setdefault("url", server.url)
    more.setdefault("environment", {"GIT_SSL_CAINFO": str(server.certificate)})
    return remote.open(folder, credentials=Credentials(https_token=token), **more)


async def failure(repository: GitRepository) -> EventdError:
    """Return the error of a fetch, which must not show the token."""
    with pytest.raises(EventdError) as caught:
        await repository.fetch()
    assert "s3cret" not in f"{caught.value}{caught.value.hint}{caught.value!r}"
    return caught.value


async def test_a_token_opens_a_private_repository(folder: Path, remote: Remote) -> None:
    """The token arrives as the password, whatever characters it has, and nothing of it stays behind."""
    async with serve(folder, TOKEN) as server:
        fetched = await over(server, remote, folder).fetch()
    assert fetched.commit == remote.git("rev-parse", "main")
    assert set(server.seen) == {("eventd", TOKEN)}
    assert list((folder / "run").iterdir()) == []
    kept = b"".join(path.read_bytes() for path in (folder / "copy").rglob("*") if path.is_file())
    assert b"s3cret" not in kept


async def test_the_user_of_the_url_is_kept(folder: Path, remote: Remote) -> None:
    """Forges whose tokens have a user name find it."""
    async with serve(folder, TOKEN) as server:
        url = server.url.replace("https://", "https://bot+1@")
        await over(server, remote, folder, url=url).fetch()
    assert ("bot+1", TOKEN) in server.seen
    assert {user for user, _ in server.seen} == {"bot+1"}


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_a_missing_or_wrong_token_is_permanent(folder: Path, remote: Remote, token: str) -> None:
    """Nobody is asked for a password; the error says which credential to look at."""
    async with serve(folder, TOKEN) as server:
        error = await failure(over(server, remote, folder, token))
        assert (type(error), error.reason) == (PermanentError, "authentication")
        assert "git-https-token" in error.hint


async def test_a_refused_token_is_not_forgotten(folder: Path, remote: Remote) -> None:
    """After the forge refused the token once, the next fetch presents it again."""
    async with serve(folder, "another") as server:
        repository = over(server, remote, folder)
        await failure(repository)
        server.token = TOKEN
        assert (await repository.fetch()).previous == ""


async def test_the_token_goes_to_no_other_host(folder: Path, remote: Remote) -> None:
    """A host that is not the configured one asks for a password in vain."""
    async with serve(folder, TOKEN) as server:
        repository = over(server, remote, folder)
        moved = server.url.replace("127.0.0.1", "localhost")
        object.__setattr__(repository.remote, "url", moved)  # what it is bound to stays
        error = await failure(repository)
        assert error.reason == "authentication"
    assert server.seen == []


async def test_redirects_are_not_followed(folder: Path, remote: Remote) -> None:
    """A redirect is an error that says to configure the final URL."""
    async with serve(folder) as server:
        server.status = 301
        error = await failure(over(server, remote, folder))
    assert (type(error), error.reason) == (PermanentError, "redirected")


async def test_an_unknown_certificate_is_refused(folder: Path, remote: Remote) -> None:
    """Without the authority, nothing is sent: neither token nor request."""
    async with serve(folder, TOKEN) as server:
        error = await failure(over(server, remote, folder, environment={}))
    assert (type(error), error.reason) == (TemporaryError, "certificate")
    assert server.requests == 0


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (403, PermanentError, "authentication"),
        (404, PermanentError, "repository-missing"),
        (500, TemporaryError, "remote-unreachable"),
        (503, TemporaryError, "remote-unreachable"),
        (429, TemporaryError, "remote-unreachable"),
    ],
)
async def test_what_the_server_answers(
    folder: Path, remote: Remote, status: int, kind: type, reason: str
) -> None:
    """Statuses that pass are temporary, the others are not."""
    async with serve(folder) as server:
        server.status = status
        error = await failure(over(server, remote, folder))
    assert (type(error), error.reason) == (kind, reason)


async def test_the_token_is_in_no_command_line_and_no_environment(folder: Path, remote: Remote) -> None:
    """While a fetch waits for the server, no process of it shows the token to whoever reads /proc."""
    async with serve(folder, TOKEN) as server:
        shown: list[bytes] = []
        password = server.token

        class Spy(list[tuple[str, str]]):
            def append(self, item: tuple[str, str]) -> None:
                super().append(item)
                for process in Path("/proc").iterdir():
                    if process.name.isdigit() and int(process.name) != os.getpid():
                        for name in ("cmdline", "environ"):
                            try:
                                shown.append((process / name).read_bytes())
                            except OSError:
                                continue  # it ended meanwhile

        server.seen = Spy()
        await over(server, remote, folder).fetch()
        assert any(b"git-remote-https" in text for text in shown)
        assert not any(part in text for text in shown for part in (password.encode(), b"s3cret"))


def variables(path: str) -> dict[str, str]:
    """Return what a unit reads of its EnvironmentFile=."""
    return dict(shlex.split(line)[0].split("=", 1) for line in Path(path).read_text().splitlines())


class Apart:
    """Units of systemd's that are plain processes, and what systemd would show of them to everybody."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.who: list[RunAs] = []

    async def run(
        self,
        who: RunAs,
        argv: Sequence[str],
        *,
        timeout: float,
        environment: Mapping[str, str] | None = None,
        output_limit: int = process.OUTPUT_LIMIT,
        called: str = "",
    ) -> process.Completed:
        """Run it with what the unit would run with."""
        assert isinstance(who, AsService)
        self.who.append(who)
        self.shown += [*argv, str(environment), str(who)]
        hidden = variables(who.environment_file)
        return await process.run(
            argv,
            timeout=timeout,
            identity=who.account,
            environment={**hidden, **(environment or {})},
            output_limit=output_limit,
            called=called,
        )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has git run as another account")
async def test_a_fetch_is_a_unit_of_its_own_and_no_secret_is_in_what_systemd_shows(
    folder: Path, remote: Remote
) -> None:
    """Not the token, and not what is in the address of a proxy; the unit may write the bare repository, and no more."""
    apart = Apart()
    async with serve(folder, TOKEN) as server:
        environment = {
            "GIT_SSL_CAINFO": str(server.certificate),
            "no_proxy": "127.0.0.1,localhost",
            "https_proxy": "http://me:it's $ecret@127.0.0.1:9",
        }
        repository = over(server, remote, folder, processes=apart, environment=environment)
        assert (await repository.fetch()).commit == remote.git("rev-parse", "main")
    (who,) = apart.who
    assert isinstance(who, AsService)
    assert who.writes == str(folder / "copy")
    assert "git" in apart.shown
    assert not any(part in text for text in apart.shown for part in ("s3cret", "$ecret"))
