"""What the operator says about volumes: the table `[storage]` of eventd.toml."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from eventd.kernel.settings_table import Table
from eventd.storage.model_system_folders import SYSTEM_FOLDERS


def _place(path: str) -> str:
    """Accept a folder that a repository's volumes may be mounted in: none of the system's own, nor a home."""
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
