"""The table `[storage]` of eventd.toml."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from eventd.kernel.settings_table import Table
from eventd.storage.model_system_folders import SYSTEM_FOLDERS


def _place(path: str) -> str:
    """Return the path if volumes may be mounted in it. Raises ValueError for folders of the system, and homes."""
    if not re.fullmatch(r"(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*){1,7}", path):
        raise ValueError("it must be an absolute path of letters, digits and . _ + -")
    for folder in (*SYSTEM_FOLDERS, "/var"):
        if path == folder or path.startswith(folder + "/") or folder.startswith(path + "/"):
            raise ValueError(f"volumes cannot be mounted in {path}: {folder} belongs to the system")
    return path


class StorageTable(Table):
    """`[storage]`: where volumes may be mounted."""

    paths: tuple[Annotated[str, AfterValidator(_place)], ...] = Field(
        default=(), description="folders in which volumes may be mounted, besides /srv, /mnt and /media"
    )


TABLES = {"storage": StorageTable}
"""Key in eventd.toml -> table."""
