"""Signs that a person uses an account: a password, SSH keys.

Read on demand only, never in a periodic read of the host. The shadow database is read as root. A home is read by a
process with the account's own rights, which follows no links and has a deadline: its user controls the content, and it
may be on a network file system that does not answer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import anyio.to_thread

from eventd.adoption.model import Password, Signs
from eventd.kernel.model.errors import EventdError, TemporaryError
from eventd.platform.model_facts import Account
from eventd.platform.processes.unit_process import Processes
from eventd.platform.processes.unit_rights import AsUser

FIND_KEYS = """\
import json, os, sys
found = []
try:
    home = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    folder = os.open(".ssh", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=home)
    for name in sorted(os.listdir(folder)):
        if name.startswith("authorized_keys"):
            found.append(f"{sys.argv[1]}/.ssh/{name}")
except FileNotFoundError:
    pass
except OSError as error:
    print(json.dumps({"unknown": f"{error.filename}: {error.strerror}"}))
    sys.exit()
print(json.dumps({"keys": found[:8]}))
"""


class SystemAccountSigns:
    """The `AccountSigns` port on a real host. `etc`: the folder of shadow(5)."""

    def __init__(self, *, etc: str = "/etc", processes: Processes | None = None) -> None:
        self._etc = Path(etc)
        self._processes = processes or Processes()

    async def read(self, account: Account, *, timeout: float) -> Signs:
        """Return the signs. A home that cannot be read is a sign too.

        Raises TemporaryError(reason="nss-failed") if shadow cannot be read.
        """
        password = await self.password(account)
        argv = [sys.executable, "-I", "-c", FIND_KEYS, account.home]
        try:
            done = await self._processes.run(AsUser(account), argv, timeout=timeout, output_limit=64 * 1024)
            found = json.loads(done.require().stdout)
        except (EventdError, ValueError) as error:
            return Signs(password, unknown=str(error))
        return Signs(password, tuple(map(str, found.get("keys", ()))), str(found.get("unknown", "")))

    async def password(self, account: Account) -> Password:
        """Return whether it has a password. Raises TemporaryError(reason="nss-failed") if shadow cannot be read."""
        try:
            return await anyio.to_thread.run_sync(self._password, account.name, abandon_on_cancel=True)
        except OSError as error:
            raise TemporaryError(
                f"cannot read the shadow database: {error.strerror}", reason="nss-failed"
            ) from error

    def _password(self, name: str) -> Password:
        try:
            text = (self._etc / "shadow").read_text("utf-8", "replace")
        except FileNotFoundError:
            return Password.NONE
        for line in text.splitlines():
            fields = line.split(":")
            if fields[0] == name and len(fields) > 1:
                # "!" before a hash means locked; "*" or "!" alone means no password; empty means login without one
                # (shadow(5)).
                return Password.NONE if fields[1][:1] in ("!", "*") else Password.USABLE
        return Password.NONE
