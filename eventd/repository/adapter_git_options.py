"""The configuration of the repository, and the refs that eventd keeps in it.

No git is run here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from eventd.platform.processes import process
from eventd.repository.adapter_git_command import Credentials
from eventd.repository.adapter_git_tree import TreeLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

INCOMING = "refs/eventd/incoming"
CURRENT = "refs/eventd/current"


@dataclass(frozen=True, slots=True)
class GitOptions:
    """The configuration of the repository. Times in seconds, sizes in bytes."""

    path: str
    """Path of the bare repository; its parent belongs to root."""
    url: str
    branch: str = "main"
    account: process.ServiceAccount | None = None
    """The account that fetches and reads; None: the calling user (not root, or a test on a laptop)."""
    runtime: str = "/run/eventd"
    """Folder for private folders; the account must be able to enter it (0755)."""
    credentials: Credentials = field(default_factory=Credentials)
    require_signed: bool = False
    allowed_signers: str | None = None
    """Path of an allowed_signers file (ssh-keygen(1)), for `require_signed`."""
    refuse_rewrites: bool = True
    """Refuse a head that does not descend from the current one, until `allow_rewrite`."""
    fetch_timeout: float = 120.0
    read_timeout: float = 30.0
    limits: TreeLimits = field(default_factory=TreeLimits)
    pack_limit: int = 1 << 30
    allow_http: bool = False
    """Accept plain http, for tests."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """For a proxy: `https_proxy`, `no_proxy`, …"""
