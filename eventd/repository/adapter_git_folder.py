"""The folder of the bare repository: created by root, owned by the account that runs git in it.

`eventd.repository.adapter_git` calls it once per process.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    from eventd.platform.processes.process import ServiceAccount


def make_folder(path: str, account: ServiceAccount | None) -> bool:
    """Create the repository's folder if it is missing; return whether `git init` must still be run in it.

    Raises PermanentError(reason="repository-folder") if it cannot be created or belongs to somebody else.
    """
    owner = account.uid if account else os.geteuid()
    try:
        # It usually exists; the owner is checked below.
        with contextlib.suppress(FileExistsError):
            Path(path).mkdir(0o700)
        found = os.lstat(path)
        # Created just now, or by an earlier process that was killed before the chown.
        if account and found.st_uid == 0 and stat.S_ISDIR(found.st_mode) and not any(Path(path).iterdir()):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
            found = os.lstat(path)
    except OSError as error:
        message = f"cannot create the folder {path}: {error.strerror}"
        raise PermanentError(message, reason="repository-folder") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner:
        raise PermanentError(
            f"{path} is not a folder owned by uid {owner}",
            reason="repository-folder",
            hint=f"move it away, or: chown {owner} {path}",
        )
    return not os.path.lexists(f"{path}/HEAD")
