"""Runs git: as an unprivileged account, without any user's configuration, with secrets only in files.

Owns the command line and environment that harden git, and the private folder that holds the ssh key, the token and the
allowed signers while one command needs them. `eventd.repository.adapter_git` decides what to run and interprets the
output.

Everything is set on the command line or in the environment, which override the repository's configuration file: the
fetching account can write that.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from eventd.kernel.model.errors import PermanentError
from eventd.platform.processes import process
from eventd.platform.processes.unit_rights import AsService
from eventd.repository.adapter_git_remote import Remote, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from eventd.platform.processes.unit_process import Processes

SSH_KEY = "git-ssh-key"
KNOWN_HOSTS = "git-known-hosts"
HTTPS_TOKEN = "git-https-token"  # noqa: S105  the name of a file
ENVIRONMENT = "environment"

_HARDENING = {
    "core.hooksPath": "/dev/null",  # a hook is a program
    "core.fsmonitor": "false",  # so is this
    "core.askPass": "",
    "core.attributesFile": "/dev/null",
    "credential.helper": "",  # drops the helpers of any other configuration
    "fetch.recurseSubmodules": "false",
    "submodule.recurse": "false",
    "fetch.fsckObjects": "true",
    "transfer.fsckObjects": "true",
    "transfer.bundleURI": "false",
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "gc.autoDetach": "false",
    "maintenance.auto": "false",
    "http.followRedirects": "false",  # a redirect must not carry the token, or the fetch, to another host
    "http.sslVerify": "true",
    "http.lowSpeedLimit": "1000",  # less than 1000 bytes/s …
    "http.lowSpeedTime": "30",  # … for 30 s is a dead connection
    "protocol.version": "2",
    "log.showSignature": "false",
    "gpg.format": "ssh",
    # OpenPGP and X.509 signatures never count, whatever a keyring says.
    "gpg.openpgp.program": "/bin/false",
    "gpg.x509.program": "/bin/false",
    "gpg.ssh.program": "ssh-keygen",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Secrets for a remote, read from systemd credentials; never shown."""

    ssh_key: bytes = field(default=b"", repr=False)
    known_hosts: bytes = field(default=b"", repr=False)
    https_token: str = field(default="", repr=False)

    @classmethod
    def load(cls, folder: str | None) -> Credentials:
        """Read `git-ssh-key`, `git-known-hosts`, `git-https-token` of `$CREDENTIALS_DIRECTORY`; all optional.

        Raises PermanentError(reason="bad-credential") for a file that cannot be read or is not text.
        """
        if not folder:
            return cls()

        def read(name: str) -> bytes:
            try:
                return (Path(folder) / name).read_bytes()
            except FileNotFoundError:
                return b""
            except OSError as error:
                message = f"cannot read the credential {name}: {error.strerror}"
                raise PermanentError(message, reason="bad-credential") from error

        key, hosts, token = read(SSH_KEY), read(KNOWN_HOSTS), read(HTTPS_TOKEN).strip()
        if key and not key.endswith(b"\n"):
            key += b"\n"  # without it ssh fails with "error in libcrypto"
        if not token.isascii() or any(byte < 0x21 for byte in token):
            raise PermanentError(
                f"the credential {HTTPS_TOKEN} is not a single word", reason="bad-credential"
            )
        return cls(key, hosts, token.decode("ascii"))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets in every form in which they may appear in text."""
        return (self.https_token, quote(self.https_token, safe="")) if self.https_token else ()


@dataclass(frozen=True, slots=True)
class GitCommand:
    """Runs git on one bare repository."""

    path: str
    remote: Remote
    account: process.ServiceAccount | None
    """None: run as the current user."""
    runtime: str
    """A folder on a tmpfs for private folders; the account must be able to enter it."""
    credentials: Credentials
    allowed_signers: bytes = b""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added for every command: a proxy, for example."""
    size_limit: int = 1 << 30
    """Largest file git may write, in bytes: one pack."""

    async def run(
        self,
        *arguments: str,
        timeout: float,
        config: Mapping[str, str] | None = None,
        private: Path | None = None,
        stdin: bytes = b"",
        output_limit: int = process.OUTPUT_LIMIT,
    ) -> process.Completed:
        """Run `git ARGUMENTS` and return how it ended. Raises what `process.run` raises."""
        return await process.run(
            self._words(arguments, config),
            # Of util-linux; sets limits between fork and exec without Python code there.
            under=("prlimit", f"--fsize={self.size_limit}", "--core=0", "--"),
            called=f"git {arguments[0]}",
            timeout=timeout,
            identity=self.account,
            environment={**self.environment, **self._environment(private)},
            cwd=self.path,
            stdin=stdin,
            output_limit=output_limit,
        )

    async def run_apart(
        self,
        processes: Processes,
        *arguments: str,
        timeout: float,
        config: Mapping[str, str] | None = None,
        private: Path,
    ) -> process.Completed:
        """Run a command that uses the network, in a unit of its own; without an account, as a plain process.

        Raises what `Processes.run` raises.
        """
        if self.account is None:
            return await self.run(*arguments, timeout=timeout, config=config, private=private)
        who = AsService(self.account, self.path, str(private / ENVIRONMENT), self.size_limit)
        return await processes.run(
            who,
            self._words(arguments, config),
            timeout=timeout,
            environment=self._environment(private),
            called=f"git {arguments[0]}",
        )

    def _words(self, arguments: Sequence[str], config: Mapping[str, str] | None) -> list[str]:
        options = [f"{key}={value}" for key, value in {**_HARDENING, **(config or {})}.items()]
        return [
            "git",
            "--no-pager",
            f"--git-dir={self.path}",
            *(part for option in options for part in ("-c", option)),
            *arguments,
        ]

    def _environment(self, private: Path | None) -> dict[str, str]:
        """Return git's variables. All but `environment` may be seen by everybody."""
        return {
            "HOME": "/nonexistent",  # no ~/.netrc, no ~/.ssh/config (ssh takes its own from passwd: -F none)
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": str(private / "gitconfig") if private else "/dev/null",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": self.remote.transport.value,  # wins over every protocol.*.allow
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",  # refs/replace/… would make a commit id mean something else
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_SSH_VARIANT": "ssh",
            "GIT_SSH_COMMAND": shlex.join(self._ssh(private)),  # git passes this to a shell, so it is quoted
            "SSH_ASKPASS_REQUIRE": "never",
        }

    def _ssh(self, private: Path | None) -> Sequence[str]:
        options = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "ForwardAgent": "no",
            "ClearAllForwardings": "yes",
            "PermitLocalCommand": "no",
            "ControlPath": "none",
            "ConnectTimeout": "20",
            "ServerAliveInterval": "15",
            "ServerAliveCountMax": "2",
            # Without a known-hosts credential, the host's /etc/ssh/ssh_known_hosts is used.
            "UserKnownHostsFile": str(private / KNOWN_HOSTS) if private else "/dev/null",
        }
        if self.credentials.known_hosts:
            options["GlobalKnownHostsFile"] = "/dev/null"
        key = private / SSH_KEY if private and self.credentials.ssh_key else Path("/dev/null")
        pairs = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-i", str(key), *pairs]

    def authentication(self, private: Path) -> dict[str, str]:
        """Return the configuration that sends the token to this remote's host and to no other."""
        if self.remote.transport not in (Transport.HTTPS, Transport.HTTP) or not self.credentials.https_token:
            return {}
        store = shlex.join(["store", "--file", str(private / HTTPS_TOKEN)])
        return {f"credential.{self.remote.origin}.helper": store}

    @contextlib.contextmanager
    def private_files(self) -> Iterator[Path]:
        """Create a folder with the secrets, readable only by the account, for the duration of one operation.

        Under root, folder and files belong to root and are readable by the account's group, so that the
        account cannot change them (`git credential-store` would erase a token after one refusal). ssh
        accepts a key that its user can read through a group, as long as the user does not own it.
        """
        try:
            Path(self.runtime).mkdir(mode=0o755, parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix="git-", dir=self.runtime))
        except OSError as error:
            message = f"cannot create a private folder in {self.runtime}: {error.strerror}"
            raise PermanentError(message, reason="runtime-folder") from error
        try:
            for name, content in self._contents().items():
                self._write(folder / name, content)
            if self.account is not None:
                os.chown(folder, 0, self.account.gid)
                folder.chmod(0o750)
            yield folder
        finally:
            shutil.rmtree(folder)

    def _contents(self) -> dict[str, bytes]:
        remote, credentials = self.remote, self.credentials
        files = {
            ENVIRONMENT: _environment_file(self.environment),
            "gitconfig": b"",
            "allowed_signers": self.allowed_signers,
            KNOWN_HOSTS: credentials.known_hosts,
        }
        if remote.transport is Transport.FILE:
            # git-upload-pack runs in the remote folder and refuses it if its owner differs, unless the *global*
            # configuration lists the folder; -c does not reach it (git-config(1), safe.directory).
            quoted = remote.path.replace("\\", "\\\\").replace('"', '\\"')
            names = (quoted, quoted.rstrip("/") + "/.git")
            lines = "".join(f'\tdirectory = "{name}"\n' for name in names)
            files["gitconfig"] = f"[safe]\n{lines}".encode()
        if remote.transport is Transport.SSH and credentials.ssh_key:
            files[SSH_KEY] = credentials.ssh_key
        if credentials.https_token:
            user = quote(remote.user or "eventd", safe="")
            line = f"{remote.transport}://{user}:{quote(credentials.https_token, safe='')}@{remote.host}\n"
            files[HTTPS_TOKEN] = line.encode()
        return files

    def _write(self, path: Path, content: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
        with os.fdopen(descriptor, "wb") as file:
            if self.account is not None:
                os.fchown(descriptor, 0, self.account.gid)
                os.fchmod(descriptor, 0o440)
            file.write(content)


def _environment_file(variables: Mapping[str, str]) -> bytes:
    """Return an EnvironmentFile= (systemd.exec(5)), because a proxy's URL may contain a password."""
    return "".join(
        f"{name}={shlex.quote(value)}\n" for name, value in variables.items() if "\n" not in value
    ).encode()
