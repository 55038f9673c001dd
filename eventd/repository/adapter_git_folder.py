"""The folder of the bare repository: made as root, owned by the account that runs git in it.

Owns that hand-over and nothing of git. `eventd.repository.adapter_git` calls it once in its life.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    from eventd.platform.process import ServiceAccount


def make_folder(path: str, account: ServiceAccount | None) -> bool:
    """Make the repository's folder if there is none; return whether `git init` has still to be run in it.

    Raises PermanentError(reason="repository-folder") where it cannot be made, or stands there as somebody else's.
    """
    owner = account.uid if account else os.geteuid()
    try:
        # It usually exists; what stands there is looked at below.
        with contextlib.suppress(FileExistsError):
            Path(path).mkdir(0o700)
        found = os.lstat(path)
        # Made just now, or by a predecessor that was killed before it could hand it over.
        if account and found.st_uid == 0 and stat.S_ISDIR(found.st_mode) and not any(Path(path).iterdir()):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
            found = os.lstat(path)
    except OSError as error:
        message = f"cannot make the folder {path}: {error.strerror}"
        raise PermanentError(message, reason="repository-folder") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner:
        raise PermanentError(
            f"{path} is not a folder of the account with uid {owner}",
            reason="repository-folder",
            hint="move it away, or give it to that account",
        )
    return not os.path.lexists(f"{path}/HEAD")
