"""Completes the home of an account of ours after useradd was interrupted.

Root creates one folder, directly below the folder of homes, and chowns it to the account; it follows no link and writes
nothing in it. The content of /etc/skel is copied with the account's own rights, and overwrites nothing. Only for
accounts that eventd created: a home that belongs to somebody else is an error.
"""

# ruff: noqa: PTH208

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path

import anyio.to_thread

from eventd.accounts import adapter_login_defs as login_defs
from eventd.accounts.model_sandbox import writable
from eventd.kernel.model.errors import PermanentError
from eventd.platform.model_facts import Account
from eventd.platform.processes.unit_process import Processes
from eventd.platform.processes.unit_rights import AsUser

_MODE = 0o700
COPY = """\
import os, shutil, sys
source, target = sys.argv[1:]
for folder, folders, files in os.walk(source):
    to = os.path.join(target, os.path.relpath(folder, source))
    for name in folders:
        os.makedirs(os.path.join(to, name), exist_ok=True)
    for name in files:
        if not os.path.lexists(os.path.join(to, name)):
            shutil.copy2(os.path.join(folder, name), os.path.join(to, name), follow_symlinks=False)
"""


async def complete_home(account: Account, etc: Path, processes: Processes, *, timeout: float) -> None:
    """Create the home if it is missing, and copy what is missing from /etc/skel. Idempotent.

    Raises PermanentError(reason="home-missing" | "home-exists").
    """
    await anyio.to_thread.run_sync(_folder, account, etc, abandon_on_cancel=True)
    skel = etc / "skel"
    if not skel.is_dir():
        return
    # Not cp(1): the name and exit status of its "keep existing files" option changed between versions.
    argv = [sys.executable, "-I", "-c", COPY, str(skel), account.home]
    done = await processes.run(AsUser(account), argv, timeout=timeout)
    done.require(reason="home-missing", hint=f"copy {skel} to {account.home} as {account.name}")


def _folder(account: Account, etc: Path) -> None:
    parent, _, name = account.home.rpartition("/")
    if parent != login_defs.home_base(etc) or not name:
        check_home(account)
        return
    try:
        base = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _unmade(account.name, account.home, error) from error
    try:
        with contextlib.suppress(FileExistsError):  # the owner is checked below
            os.mkdir(name, _MODE, dir_fd=base)
        home = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=base)
        try:
            # Owned by root and empty: just created, here or by a useradd that was interrupted before its chown.
            if os.fstat(home).st_uid == os.geteuid() and not os.listdir(home):
                os.fchown(home, account.uid, account.gid)
                os.fsync(base)
        finally:
            os.close(home)
    except OSError as error:
        raise _unmade(account.name, account.home, error) from error
    finally:
        os.close(base)
    check_home(account)


def check_room(name: str, etc: Path) -> None:
    """Raise if the home of a new account cannot be created, before useradd makes an account without one."""
    parent = login_defs.home_base(etc)
    try:
        status = os.statvfs(parent)
    except OSError as error:
        raise _unmade(name, f"{parent}/{name}", error) from error
    if status.f_flag & os.ST_RDONLY:
        raise _unmade(name, f"{parent}/{name}", OSError(errno.EROFS, os.strerror(errno.EROFS)))


def _unmade(name: str, home: str, error: OSError) -> PermanentError:
    parent = home.rpartition("/")[0]
    message = f"cannot create the home {home} of {name}: {error.strerror}"
    if error.errno == errno.EROFS:
        return PermanentError(
            f"{message}: {parent} is not in ReadWritePaths= of eventd.service",
            reason="homes-read-only",
            hint=writable(parent),
        )
    hint = (
        f"mkdir {parent}, the folder that HOME= in /etc/default/useradd names"
        if error.errno == errno.ENOENT
        else ""
    )
    return PermanentError(message, reason="home-missing", hint=hint)


def check_home(account: Account) -> None:
    """Raise unless the home is a folder that belongs to the account."""
    try:
        status = os.lstat(account.home)
    except OSError as error:
        raise PermanentError(
            f"the home {account.home} of {account.name} was not created: {error.strerror}",
            reason="home-missing",
        ) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid:
        raise PermanentError(
            f"{account.home} is not a folder owned by {account.name}",
            reason="home-exists",
            hint="useradd found it there and left it; move it away and remove the account",
        )
