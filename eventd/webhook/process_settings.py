"""`/etc/eventd/webhook.toml` and the secrets it names.

Owns: the schema, reading secrets, and errors that name file, key and remedy. A secret is held as bytes in one
place, `Hook.secret`, and has no representation.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, ValidationError, model_validator

from eventd.kernel.model.errors import PermanentError

SHORT_SECRET = 16


class Forge(StrEnum):
    """Whose headers, signature and payload to expect."""

    GITHUB = "github"
    GITEA = "gitea"
    FORGEJO = "forgejo"
    GITLAB = "gitlab"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HookTable(_Table):
    """`[[hooks]]`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """For logs and the path."""
    forge: Forge
    """Whose headers and signature it has."""
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$")] | None = None
    """URL path; `/hooks/<name>` by default."""
    repository: str | None = None
    """Full name (`team/host`); pushes of any other are ignored."""
    branch: str | None = None
    """Pushes of any other are ignored."""
    secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] | None = None
    """Name of a systemd credential."""
    secret_file: str | None = None
    """A file instead, readable by nobody but its owner and group."""
    max_body: Annotated[int, Field(ge=1024, le=64 << 20)] = 1 << 20
    """Bytes."""
    tolerance: Annotated[int, Field(ge=1, le=3600)] = 300
    """Seconds that a signed timestamp may be off (GitLab's signing token)."""

    @model_validator(mode="after")
    def _one_secret(self) -> HookTable:
        if (self.secret is None) == (self.secret_file is None):
            raise ValueError("give exactly one of secret (a credential's name) and secret_file (a path)")
        return self


class WebhookTable(_Table):
    """The whole file."""

    hooks: tuple[HookTable, ...]
    daemon: str = "/run/eventd/webhook.sock"
    """The daemon's socket for pushes."""
    daemon_timeout: Annotated[float, Field(gt=0, le=60)] = 8.0
    """Seconds. GitHub gives up on a delivery after 10."""
    request_timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    """Seconds that a client has for its body at most; a small one has to be there sooner."""
    header_timeout: Annotated[float, Field(gt=0, le=60)] = 2.0
    """Seconds that a client has for its headers."""
    connections: Annotated[int, Field(ge=1, le=900)] = 128
    """At a time; beyond them, the one goes that has been arriving for longest."""
    connections_per_peer: Annotated[int, Field(ge=1, le=900)] = 64
    """Of one address (one /64 of IPv6); behind a trusted proxy, of one that it forwards for."""
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    """Addresses and networks of proxies whose `X-Forwarded-For` is believed."""
    remembered: Annotated[int, Field(ge=16, le=1_000_000)] = 10_000
    """Deliveries that are known again when they are replayed."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook, ready: the table and its secret."""

    table: HookTable
    secret: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """The URL path."""
        return self.table.path or f"/hooks/{self.table.name}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the listener needs to know."""

    table: WebhookTable
    hooks: Mapping[str, Hook]
    """By URL path."""


def load(path: str, *, credentials: str | None) -> Settings:
    """Read the file and its secrets; `credentials` is `$CREDENTIALS_DIRECTORY`.

    Raises PermanentError(reason="bad-configuration" | "bad-secret") naming file and key.
    """
    try:
        data = tomllib.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        raise _bad(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise _bad(f"{path}: {error}") from error
    return build(data, path, credentials=credentials)


def build(data: dict[str, Any], path: str, *, credentials: str | None) -> Settings:
    """Check the parsed file; see `load`."""
    try:
        table = WebhookTable.model_validate(data)
    except ValidationError as error:
        # Without pydantic's `input`: somebody may have pasted the secret itself.
        rows = [f"{path}: {_key(row['loc'])}: {row['msg']}" for row in error.errors(include_input=False)]
        raise _bad("\n".join(rows)) from None
    if not table.hooks:
        raise _bad(f"{path}: hooks: there is none; write [[hooks]]")
    hooks: dict[str, Hook] = {}
    for index, hook_table in enumerate(table.hooks):
        hook = Hook(hook_table, _read_secret(hook_table, path, credentials))
        if hook.path in hooks:
            raise _bad(f"{path}: hooks[{index}]: another hook has the path {hook.path} already")
        hooks[hook.path] = hook
    return Settings(table, hooks)


def _bad(message: str) -> PermanentError:
    return PermanentError(message, reason="bad-configuration")


def _key(location: tuple[int | str, ...]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "(file)"


def _read_secret(table: HookTable, path: str, credentials: str | None) -> bytes:
    where = f"{path}: hook {table.name}"
    if table.secret_file is not None:
        file = Path(table.secret_file)
    elif credentials:
        file = Path(credentials) / str(table.secret)
    else:
        raise PermanentError(
            f"{where}: there is no credentials directory to find {table.secret} in",
            reason="bad-secret",
            hint="start it as the unit with LoadCredential=, or use secret_file",
        )
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            secret = opened.read(4096).removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        message = f"{where}: cannot read the secret {file.name}: {error.strerror}"
        raise PermanentError(message, reason="bad-secret") from error
    if stat.S_IMODE(mode) & 0o007:
        raise PermanentError(
            f"{where}: everybody can read the secret {file}", reason="bad-secret", hint=f"chmod 0600 {file}"
        )
    if not secret:
        raise PermanentError(f"{where}: the secret {file.name} is empty", reason="bad-secret")
    return secret
