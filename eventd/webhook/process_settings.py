"""Reads `/etc/eventd/webhook.toml` and the secrets that it names.

Owns the schema, the reading of secrets, and errors with file, key and remedy. A secret is kept as bytes in one place,
`Hook.secret`, which is left out of `repr`.
"""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, ValidationError, model_validator
from pydantic_core import ErrorDetails

from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.toml_lines import locate
from eventd.kernel.settings_table import mistake, place

SHORT_SECRET = 16


class Forge(StrEnum):
    """The kind of forge: decides headers, signature and payload."""

    GITHUB = "github"
    GITEA = "gitea"
    FORGEJO = "forgejo"
    GITLAB = "gitlab"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HookTable(_Table):
    """`[[hooks]]`."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    """The name, for logs and the path."""
    forge: Forge
    """The kind of forge."""
    path: Annotated[str, Field(pattern=r"^/[A-Za-z0-9._~/-]*$")] | None = None
    """The URL path; `/hooks/<name>` by default."""
    repository: str | None = None
    """The full name (`team/host`). Pushes to other repositories are ignored."""
    branch: str | None = None
    """Pushes to other branches are ignored."""
    secret: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")] | None = None
    """The name of a systemd credential."""
    secret_file: str | None = None
    """A file instead, readable only for its owner and group."""
    max_body: Annotated[int, Field(ge=1024, le=64 << 20)] = 1 << 20
    """Bytes."""
    tolerance: Annotated[int, Field(ge=1, le=3600)] = 300
    """How far off a signed timestamp may be, in seconds (GitLab's signing token)."""

    @model_validator(mode="after")
    def _one_secret(self) -> HookTable:
        if (self.secret is None) == (self.secret_file is None):
            raise ValueError("set exactly one of secret (a credential's name) and secret_file (a path)")
        return self


class WebhookTable(_Table):
    """The whole file."""

    hooks: tuple[HookTable, ...]
    daemon: str = "/run/eventd/webhook.sock"
    """The daemon's socket for pushes."""
    daemon_timeout: Annotated[float, Field(gt=0, le=60)] = 8.0
    """Seconds. GitHub gives up on a delivery after 10."""
    request_timeout: Annotated[float, Field(gt=0, le=300)] = 10.0
    """The longest time for a body, in seconds; a small one has less."""
    header_timeout: Annotated[float, Field(gt=0, le=60)] = 2.0
    """The time for the headers, in seconds."""
    connections: Annotated[int, Field(ge=1, le=900)] = 128
    """The limit of connections. Beyond it, the one that has been arriving for longest is dropped."""
    connections_per_peer: Annotated[int, Field(ge=1, le=900)] = 64
    """The limit per client address (per /64 for IPv6), also behind a trusted proxy."""
    trusted_proxies: tuple[IPvAnyNetwork, ...] = ()
    """Addresses and networks of proxies whose `X-Forwarded-For` is trusted."""
    remembered: Annotated[int, Field(ge=16, le=1_000_000)] = 10_000
    """How many deliveries are remembered, to recognise replays."""


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook: its table and its secret."""

    table: HookTable
    secret: bytes = field(repr=False)

    @property
    def path(self) -> str:
        """The URL path."""
        return self.table.path or f"/hooks/{self.table.name}"


@dataclass(frozen=True, slots=True)
class Settings:
    """The listener's settings."""

    table: WebhookTable
    hooks: Mapping[str, Hook]
    """The hooks, by URL path."""


def load(path: str, *, credentials: str | None) -> Settings:
    """Read the file and its secrets. `credentials`: `$CREDENTIALS_DIRECTORY`.

    Raises PermanentError(reason="bad-configuration" | "bad-secret") naming file and key.
    """
    try:
        text = Path(path).read_text("utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise _bad(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise _bad(f"{path}: {error}") from error
    return build(data, path, credentials=credentials, lines=locate(text))


def build(
    data: dict[str, Any],
    path: str,
    *,
    credentials: str | None,
    lines: Mapping[tuple[str | int, ...], int] = MappingProxyType({}),
) -> Settings:
    """Check the parsed file; see `load`. `lines`: where each key is."""
    try:
        table = WebhookTable.model_validate(data)
    except ValidationError as error:
        # Without pydantic's `input`: it may contain the secret itself.
        rows = error.errors(include_input=False)
        raise _bad("\n".join(_mistake(path, lines, row) for row in rows)) from None
    if not table.hooks:
        raise _bad(f"{path}: hooks: there are none; add [[hooks]]")
    hooks: dict[str, Hook] = {}
    for index, hook_table in enumerate(table.hooks):
        hook = Hook(hook_table, _read_secret(hook_table, path, credentials))
        if hook.path in hooks:
            raise _bad(f"{path}: hooks[{index}]: another hook already has the path {hook.path}")
        hooks[hook.path] = hook
    return Settings(table, hooks)


def _bad(message: str) -> PermanentError:
    return PermanentError(message, reason="bad-configuration")


def _mistake(path: str, lines: Mapping[tuple[str | int, ...], int], row: ErrorDetails) -> str:
    table = HookTable if len(row["loc"]) > 1 else WebhookTable
    return f"{place(path, row['loc'], lines)}: {_key(row['loc'])}: {mistake(row, table)}"


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
            f"{where}: cannot read the credential {table.secret}: there is no credentials directory",
            reason="bad-secret",
            hint="run it from its unit with LoadCredential=, or use secret_file",
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
            f"{where}: the secret {file} is world-readable", reason="bad-secret", hint=f"chmod 0600 {file}"
        )
    if not secret:
        raise PermanentError(f"{where}: the secret {file.name} is empty", reason="bad-secret")
    return secret
