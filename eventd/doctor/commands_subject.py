"""The subject of the checks of `eventctl doctor`, and their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.api import model_sockets as sockets

if TYPE_CHECKING:
    from eventd.doctor.adapter_host import Probe


@dataclass(frozen=True, slots=True)
class Check:
    """One finding about the host, as in the API's GET /v1/doctor."""

    name: str
    ok: bool
    message: str
    hint: str = ""


def good(name: str, message: str) -> Check:
    """Return a passed check."""
    return Check(name, ok=True, message=message)


def bad(name: str, message: str, hint: str) -> Check:
    """Return a problem, and what to do about it."""
    return Check(name, ok=False, message=message, hint=hint)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is checked: the host, and the paths and names of its configuration."""

    probe: Probe
    generator: str = "/usr/lib/systemd/user-generators/podman-user-generator"
    socket: str = sockets.DEFAULT
    group: str = "eventd"
    git_account: str | None = "eventd-git"
    check_account: str | None = "eventd-check"
    linger: str = "/var/lib/systemd/linger"
    signers: str = ""
    """The allowed_signers file, if commits have to be signed."""
    approvers: str = "/etc/eventd/allowed_signers"
    """The allowed_signers file of `[approvals]`."""
    state: str = "/var/lib/eventd"
    runtime: str = "/run/eventd"
    git_folder: str = "/var/lib/eventd-git"
