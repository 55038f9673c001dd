"""Signatures of operators: `ssh-keygen -Y verify` with an allowed_signers file (ssh-keygen(1)).

Only the exit status of ssh-keygen counts: for an unlisted key it still prints "Good". A signature may come from the
repository, so ssh-keygen parses it under the unprivileged account, never as root: root writes the signature, the
document and copies of the two files that decide into a private folder that the account can only read.

Whoever writes the file of allowed signers can approve everything. So the file is used only if it and its folder belong
to root and nobody else can write them.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from eventd.approvals.model import MAX_SIGNATURE, NAMESPACE
from eventd.kernel.model.errors import PermanentError
from eventd.platform.processes.process import ServiceAccount, run

MAX_FILE = 1 << 20
"""Maximum size in bytes of the allowed signers, or of a list of revoked keys."""
MAX_PRINCIPALS = 16
"""Principals tried for one key; more than a handful is a mistake."""
TIMEOUT = 10.0
"""Seconds for one ssh-keygen."""
HEAD = b"-----BEGIN SSH SIGNATURE-----"


@dataclass(frozen=True, slots=True)
class SshSignatures:
    """Checks signatures; `approvals.controller.Verify`."""

    allowed_signers: str
    """Path."""
    revoked: str = ""
    """Path of a key revocation list or of a list of public keys; empty: none."""
    account: ServiceAccount | None = None
    """The account that runs ssh-keygen; None: the current one."""
    runtime: str = "/run/eventd"
    """Folder on a tmpfs for private folders; the account needs search permission on it."""
    namespace: str = NAMESPACE
    owner: int = 0
    """The uid that has to own the file of allowed signers."""

    async def __call__(self, document: bytes, signature: bytes) -> str:
        """Return the principal that signed `document`.

        Raises PermanentError(reason="bad-signature" | "unknown-key" | "no-allowed-signers" |
        "untrusted-allowed-signers" | "command-missing" | …), DeadlineError.
        """
        if len(signature) > MAX_SIGNATURE or not signature.startswith(HEAD):
            raise PermanentError(
                "it is not an ssh-keygen signature",
                reason="bad-signature",
                hint=f"ssh-keygen -Y sign -n {NAMESPACE}",
            )
        folder = await anyio.to_thread.run_sync(self._prepare, document, signature, abandon_on_cancel=True)
        try:
            return await self._verify(folder, document)
        finally:
            await anyio.to_thread.run_sync(shutil.rmtree, folder, abandon_on_cancel=True)

    async def _verify(self, folder: Path, document: bytes) -> str:
        names = await self._principals(folder)
        common = ["-Y", "verify", "-f", str(folder / "allowed_signers"), "-n", self.namespace]
        common += ["-s", str(folder / "signature")]
        if self.revoked:
            common += ["-r", str(folder / "revoked")]
        said = ""
        for name in names[:MAX_PRINCIPALS]:
            done = await run(
                ["ssh-keygen", *common, "-I", name],
                timeout=TIMEOUT,
                identity=self.account,
                cwd=str(folder),
                stdin=document,
            )
            if done.ok:
                return name
            said = done.text().partition("\n")[0]
        raise PermanentError(
            f"the signature is not valid: {said or 'ssh-keygen refuses it'}",
            reason="bad-signature",
            hint=f"sign exactly this document with -n {self.namespace}; check that the key may sign approvals"
            " and is not revoked",
        )

    async def _principals(self, folder: Path) -> list[str]:
        """Return the principals that the allowed signers list for the key."""
        done = await run(
            [
                "ssh-keygen",
                *("-Y", "find-principals", "-f", str(folder / "allowed_signers")),
                *("-s", str(folder / "signature")),
            ],
            timeout=TIMEOUT,
            identity=self.account,
            cwd=str(folder),
        )
        names = [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
        # A principal becomes an argument of the next command, so anything that does not look like one is dropped.
        names = [name for name in names if name.isprintable() and not name.startswith("-")]
        if not done.ok or not names:
            raise PermanentError(
                f"the key that signed is not in {self.allowed_signers}, or no longer",
                reason="unknown-key",
                hint=f'its line is: NAME namespaces="{self.namespace}" KEY (ssh-keygen(1), ALLOWED SIGNERS)',
            )
        return names

    # In a worker thread from here on.

    def _prepare(self, document: bytes, signature: bytes) -> Path:
        allowed = self._trusted(self.allowed_signers, "no-allowed-signers")
        revoked = self._trusted(self.revoked, "no-revoked-keys") if self.revoked else b""
        try:
            folder = Path(tempfile.mkdtemp(prefix="approval-", dir=self.runtime))
        except OSError as error:
            message = f"cannot make a private folder in {self.runtime}: {error.strerror}"
            raise PermanentError(message, reason="runtime-folder") from error
        try:
            for name, content in (
                ("allowed_signers", allowed),
                ("revoked", revoked),
                ("signature", signature),
                ("document", document),
            ):
                self._write(folder / name, content)
            if self.account is not None and os.geteuid() == 0:
                os.chown(folder, 0, self.account.gid)
                folder.chmod(0o750)
        except BaseException:
            shutil.rmtree(folder)
            raise
        return folder

    def _write(self, path: Path, content: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)
        with os.fdopen(descriptor, "wb") as file:
            if self.account is not None and os.geteuid() == 0:
                os.fchown(descriptor, 0, self.account.gid)
                os.fchmod(descriptor, 0o440)
            file.write(content)

    def _trusted(self, path: str, missing: str) -> bytes:
        """Read a file that only its owner, root, can change."""
        try:
            folder = os.stat(os.path.dirname(path) or "/")  # noqa: PTH116, PTH120
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise PermanentError(
                f"cannot read {path}: {error.strerror}",
                reason=missing,
                hint=f'write a line `NAME namespaces="{self.namespace}" KEY` into {path}, KEY as in a .pub file'
                if missing == "no-allowed-signers" and isinstance(error, FileNotFoundError)
                else "see allowed_signers and revoked_keys of [approvals] in eventd.toml",
            ) from error
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _untrusted(path, "it is not a regular file")
            for what, each in (("it", status), ("its folder", folder)):
                sticky = bool(each.st_mode & stat.S_ISVTX) and stat.S_ISDIR(each.st_mode)
                if each.st_uid not in (0, self.owner) or (each.st_mode & 0o022 and not sticky):
                    raise _untrusted(
                        path, f"users other than root can change {what} (mode {each.st_mode & 0o777:o})"
                    )
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read(MAX_FILE + 1)
        finally:
            os.close(descriptor)
        if len(content) > MAX_FILE:
            raise _untrusted(path, f"it has more than {MAX_FILE} bytes")
        return content


def _untrusted(path: str, why: str) -> PermanentError:
    return PermanentError(
        f"{path} cannot be trusted: {why}",
        reason="untrusted-allowed-signers",
        hint=f"chown root:root {path}; chmod 644 {path}",
    )
