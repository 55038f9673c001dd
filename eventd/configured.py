"""Translates the settings of eventd.toml into the terms of the domains, the policies and the adapters.

It reads what this takes from the host (accounts, machine-id, the transforms folder). It must start nothing and connect
to nothing: what it returns goes to the composition root, at the start and at each reload.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from eventd.accounts import adapter_login_defs as login_defs
from eventd.approvals.adapter_ssh_signatures import SshSignatures
from eventd.approvals.controller_rules import Rules as ApprovalRules
from eventd.approvals.controller_rules import no_machine_id
from eventd.approvals.settings import Approvals
from eventd.compose.settings import Compose
from eventd.desired.model import OnFailure, WorkloadOptions
from eventd.desired.model_assembly import HostRules
from eventd.desired.model_host_ports import UNPRIVILEGED
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.located import Located
from eventd.platform.processes.process import ServiceAccount
from eventd.platform.service_accounts import ServiceAccounts
from eventd.repository.adapter_git_command import Credentials
from eventd.repository.adapter_git_options import GitOptions
from eventd.settings import Settings
from eventd.storage.model_file import PLACES
from eventd.storage.settings import StorageTable
from eventd.updates.settings import Update
from eventd.workloads.model_layout import Layout
from eventd_policies.accounts_protected import Rules

MACHINE_ID = 32
"""Characters of machine-id(5)."""
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")
"""Variables of the daemon's environment that are passed to git (gitfaq(7)); no others are."""


def layout_of(settings: Settings) -> Layout:
    """Return the paths under these settings."""
    return Layout(settings.paths.quadlets, settings.paths.units, settings.paths.stacks)


def rules_of(settings: Settings) -> HostRules:
    """Return the host's rules for assembling the desired state; reads the transforms folder."""
    defaults = settings.defaults
    return HostRules(
        hostname=settings.host.name,
        transforms=_transforms(Path(settings.paths.transforms)),
        transformless=settings.host.transformless,
        protected=settings.host.protected,
        transforms_folder=settings.paths.transforms,
        stacks_folder=settings.paths.stacks,
        compose_provider=settings.table(Compose).provider,
        default_requires=tuple(Located(text, "eventd.toml", 0) for text in settings.host.requires),
        options=WorkloadOptions(
            deadline=defaults.deadline,
            grace=defaults.grace,
            on_failure=OnFailure(defaults.on_failure),
            update_schedule=settings.table(Update).schedule or None,
        ),
        update_spread=f"{settings.table(Update).spread:g}s",
        storage_paths=(*PLACES, *settings.table(StorageTable).paths),
        unprivileged_port_start=unprivileged_port_start(),
    )


def unprivileged_port_start() -> int:
    """Return the first port that ordinary users may bind; the kernel's default if it cannot be read."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):
        return UNPRIVILEGED


def _transforms(folder: Path) -> Mapping[str, bytes]:
    """Return `<folder>/<name>.container` by file name."""
    try:
        if not folder.is_dir():
            return {}
        return {path.name: path.read_bytes() for path in sorted(folder.glob("*.container")) if path.is_file()}
    except OSError as error:
        raise PermanentError(
            f"cannot read the transform {error.filename}: {error.strerror}", reason="bad-configuration"
        ) from error


def protection_of(settings: Settings, *, root: bool | None = None) -> Rules:
    """Return which accounts are protected; `root`: as root sees it (None: as the current user does)."""
    root = os.geteuid() == 0 if root is None else root
    return Rules(
        settings.host.protected,
        uid_min=login_defs.uid_min(Path("/etc")) if root else 0,
        uid_max=login_defs.uid_max(Path("/etc")) if root else 2**32 - 2,
    )


def check_programs(settings: Settings) -> None:
    """Raise PermanentError(reason="bad-configuration") if a configured program is not an executable.

    Not called at a start: a missing program then holds only what needs it.
    """
    path = settings.table(Compose).provider
    written = "provider" in settings.table(Compose).model_fields_set
    if written and not (Path(path).is_file() and os.access(path, os.X_OK)):
        raise PermanentError(
            f"[compose] provider: {path} does not exist, or is not executable",
            reason="bad-configuration",
            hint="apt install docker-compose, or name another program; each stack's unit runs it",
        )


def make_folders(settings: Settings) -> None:
    """Make the folders of the state and the locks. Raises PermanentError(reason="bad-configuration")."""
    for path, mode in ((settings.paths.state, 0o700), (settings.paths.runtime, 0o755)):
        try:
            Path(path).mkdir(parents=True, exist_ok=True, mode=mode)
        except OSError as error:
            raise PermanentError(
                f"cannot make {path}: {error.strerror}", reason="bad-configuration", hint="see [paths]"
            ) from error


def own_accounts(settings: Settings) -> tuple[str, ...]:
    """Return the names of eventd's own accounts; none where it does not run as root, which could not use them."""
    names = (settings.git_account, settings.check_account) if os.geteuid() == 0 else ()
    return tuple(name for name in names if name)


def git_identity(settings: Settings, own: ServiceAccounts) -> ServiceAccount | None:
    """Return the unprivileged account for git; None if eventd itself does not run as root."""
    return _service_account(settings.git_account, own, "no-git-account")


def check_identity(settings: Settings, own: ServiceAccounts) -> ServiceAccount | None:
    """Return the unprivileged account for dry runs of the Quadlet generator; None if eventd does not run as root.

    Not git's account: a generator that the repository feeds must not be able to change the repository.
    """
    return _service_account(settings.check_account, own, "no-check-account")


def _service_account(name: str | None, own: ServiceAccounts, reason: str) -> ServiceAccount | None:
    if not name or os.geteuid() != 0:
        return None
    if (found := own.rows.get(name)) is None:
        raise PermanentError(
            f"the account {name} does not exist",
            reason=reason,
            hint="systemd-sysusers makes it from /usr/lib/sysusers.d/eventd.conf",
        )
    return found


def approval_rules(settings: Settings, own: ServiceAccounts) -> ApprovalRules:
    """Return the rules for approvals on this host."""
    wanted, machine = settings.table(Approvals), _machine_id()
    verify = SshSignatures(
        wanted.allowed_signers,
        revoked=wanted.revoked_keys,
        account=git_identity(settings, own),
        runtime=settings.paths.runtime,
        owner=os.geteuid(),
    )
    return ApprovalRules(
        host=machine or "unknown",
        hostname=settings.host.name,
        lifetime=wanted.lifetime,
        verify=verify if machine else no_machine_id,
    )


def _machine_id() -> str:
    """Return machine-id(5), or an empty text: a container may not have one."""
    try:
        found = Path("/etc/machine-id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return found if len(found) == MACHINE_ID else ""


def git_options(settings: Settings, own: ServiceAccounts) -> GitOptions:
    """Return how the repository is fetched; reads the service's credentials."""
    wanted = settings.repository
    return GitOptions(
        path=settings.paths.git,
        url=wanted.url,
        branch=wanted.branch,
        account=git_identity(settings, own),
        runtime=settings.paths.runtime,
        credentials=Credentials.load(os.environ.get("CREDENTIALS_DIRECTORY")),
        require_signed=wanted.require_signed,
        allowed_signers=wanted.allowed_signers if wanted.require_signed else None,
        refuse_rewrites=wanted.refuse_rewrites,
        fetch_timeout=wanted.timeout,
        allow_http=wanted.allow_http,
        environment={name: os.environ[name] for name in PROXIES if name in os.environ},
    )
