"""The configuration, `/etc/eventd/eventd.toml`: the operator's settings for this host.

A boundary: pydantic models, and every unknown key is an error. An error names the file, the line and the key. Secrets
are never in here; they are systemd credentials.
"""

from __future__ import annotations

import functools
import os
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
    field_validator,
)
from pydantic_core import ErrorDetails

from eventd import domains
from eventd.api import model_sockets as sockets
from eventd.gates import model_predicate_parse as predicates
from eventd.kernel.model.diagnostics import Diagnostic
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.model.located import Located
from eventd.kernel.model.toml_lines import locate
from eventd.kernel.settings_table import OptionalSeconds, Seconds, Table, mistake, place, seconds
from eventd.repository.adapter_git_remote import parse_remote

T = TypeVar("T", bound=Table)
DEFAULT_PATH = "/etc/eventd/eventd.toml"


def _url(text: str) -> str:
    """Refuse what could not be fetched from. Whether plain http:// is allowed is said by another key."""
    try:
        parse_remote(text, allow_http=True)
    except EventdError as error:
        raise ValueError(f"{error.message}; {error.hint}") from None
    return text


def _predicate(text: str) -> str:
    found = predicates.parse(Located(text, "", 0))
    if isinstance(found, Diagnostic):
        text = f"{found.message}; {found.hint}" if found.hint else found.message
        raise ValueError(text)  # noqa: TRY004  pydantic takes no TypeError
    return text


class Repository(Table):
    """`[repository]`: where the desired state comes from."""

    url: Annotated[str, AfterValidator(_url)] = Field(
        description="https://, ssh://, git@host:path, file:// or an absolute path"
    )
    branch: str = Field(default="main", description="the branch to follow")
    poll: OptionalSeconds = Field(
        default=None, description='seconds between fetches on hosts that no webhook can reach, or "off"'
    )
    timeout: Seconds = Field(default=120.0, description="how long one fetch may take")
    require_signed: bool = Field(default=False, description="deploy only commits signed by an allowed signer")
    allowed_signers: str = Field(
        default="/etc/eventd/allowed_signers", description="allowed_signers file (ssh-keygen(1))"
    )
    refuse_rewrites: bool = Field(
        default=True, description="refuse a force-push until `eventctl sync --allow-rewrite COMMIT`"
    )
    allow_http: bool = Field(default=False, description="accept a plain http:// URL", validate_default=True)

    @field_validator("allow_http")
    @classmethod
    def _encrypted(cls, allowed: bool, info: ValidationInfo) -> bool:  # noqa: FBT001  pydantic's signature
        if not allowed and str(info.data.get("url", "")).startswith("http://"):
            raise ValueError(
                "anybody on the way can change what comes by http://: use https://, or set it to true"
            )
        return allowed


class HostTable(Table):
    """`[host]`: rules of this host."""

    live = True

    name: str = Field(default_factory=socket.gethostname, description="which hosts/<name>.toml applies")
    concurrency: int = Field(
        default=8, ge=1, le=256, description="how many workloads are worked on at the same time"
    )
    protected: frozenset[str] = Field(default=frozenset(), description="accounts that eventd never changes")
    requires: tuple[Annotated[str, AfterValidator(_predicate)], ...] = Field(
        default=(), description="gates of every workload without a `requires` of its own"
    )
    transformless: frozenset[str] = Field(
        default=frozenset(), description="folders of the quadlet-deploy layout without a transform"
    )


class Defaults(Table):
    """`[defaults]`: for what a workload.toml leaves out."""

    live = True

    deadline: Seconds = Field(
        default=90.0, description="how long a workload may take to start and become healthy"
    )
    grace: Annotated[float, BeforeValidator(seconds), Field(ge=0, le=3600)] = Field(
        default=1.0, description="how long a started unit has to stay up before a revision counts as applied"
    )
    on_failure: Literal["keep", "rollback"] = Field(
        default="keep", description="what happens when a revision fails to start"
    )


class Paths(Table):
    """`[paths]`: where things stand; the defaults are those of the installed units."""

    quadlets: str = Field(
        default="/etc/containers/systemd/users", description="Quadlet files, in a folder per uid"
    )
    units: str = Field(
        default="/etc/eventd/units", description="companion units, which eventd's generator loads"
    )
    stacks: str = Field(default="/etc/eventd/stacks", description="compose stacks, in a folder per uid")
    transforms: str = Field(
        default="/etc/eventd/transforms", description="the host's transforms, `<name>.container`"
    )
    state: str = Field(default="/var/lib/eventd", description="the state file; private to root")
    git: str = Field(
        default="/var/lib/eventd-git/repository.git",
        description="the bare repository; owned by the unprivileged account",
    )
    runtime: str = Field(default="/run/eventd", description="the lock, and credentials while git runs")
    linger: str = Field(default="/var/lib/systemd/linger", description="logind's linger flags")
    generator: str = Field(
        default="/usr/lib/systemd/user-generators/podman-user-generator",
        description="podman's Quadlet generator, for the dry run",
    )


def _socket(path: str) -> str:
    if path.rpartition("/")[2] in (sockets.ROOT, sockets.OPERATORS):
        raise ValueError(f"{sockets.ROOT} and {sockets.OPERATORS} are the names of the sockets beside it")
    return path


class Api(Table):
    """`[api]`: the sockets."""

    socket: Annotated[str, AfterValidator(_socket)] = Field(
        default=sockets.DEFAULT,
        description="for everybody on this host; HTTP and JSON. Beside it are `root.sock` and `operators.sock`",
    )
    group: str = Field(
        default="eventd", description="its members may read the status; only root may change anything"
    )
    webhook_socket: str = Field(
        default="/run/eventd/webhook.sock", description="for eventd-webhook; takes `POST /v1/pushed` only"
    )
    webhook_group: str = Field(default="eventd-webhook", description="may report pushes")


class Buses(Table):
    """`[dbus]`: addresses; the defaults are those of every systemd host."""

    system: str | None = Field(default=None, description="the system bus; by default where libdbus finds it")
    user: str = Field(default="unix:path=/run/user/{uid}/bus", description="a user's bus")


class Settings(Table):
    """The whole file; `model` adds the tables of the domains."""

    repository: Repository
    host: HostTable = Field(default_factory=HostTable)
    defaults: Defaults = Field(default_factory=Defaults)
    paths: Paths = Field(default_factory=Paths)
    api: Api = Field(default_factory=Api)
    dbus: Buses = Field(default_factory=Buses)
    git_account: str | None = Field(
        default="eventd-git",
        description="unprivileged account that runs git; ignored where eventd is not root",
    )
    check_account: str | None = Field(
        default="eventd-check",
        description="unprivileged account that runs podman's generator as a check; ignored where eventd is not root",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the lowest level that goes to the journal"
    )

    def table(self, kind: type[T]) -> T:
        """Return a domain's table; its defaults, where these settings were made without it."""
        found = (value for name in type(self).model_fields if type(value := getattr(self, name)) is kind)
        return next(found, None) or kind()


def model(tables: Mapping[str, type[Table]]) -> type[Settings]:
    """Return the settings with these tables besides: key -> table. The same class for the same tables."""
    return _model(tuple(tables.items()))


def live_keys(whole: type[Settings]) -> tuple[str, ...]:
    """Return the keys that a reload applies: of tables, and the level of the log."""
    return tuple(
        name
        for name, field in whole.model_fields.items()
        if name == "log_level" or getattr(field.annotation, "live", False)
    )


@functools.cache
def _model(tables: tuple[tuple[str, type[Table]], ...]) -> type[Settings]:
    fields: dict[str, Any] = {key: (kind, Field(default_factory=kind)) for key, kind in tables}
    return create_model("Settings", __base__=Settings, **fields)


def load(
    path: str | os.PathLike[str] = DEFAULT_PATH, tables: Mapping[str, type[Table]] | None = None
) -> Settings:
    """Read and check the configuration; `tables`: those of other domains than eventd's own.

    Raises PermanentError(reason="bad-configuration") with one line per mistake: file, line, key, remedy.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise PermanentError(
            f"cannot read {path}: {error.strerror}",
            reason="bad-configuration",
            hint="a commented example is /usr/share/eventd/eventd.toml.example",
        ) from error
    except UnicodeDecodeError as error:
        raise PermanentError(f"{path} is not UTF-8: {error}", reason="bad-configuration") from error
    return parse(text, str(path), tables)


def parse(text: str, name: str, tables: Mapping[str, type[Table]] | None = None) -> Settings:
    """Check a configuration text; `name` is for errors, `tables` as of `load`."""
    whole = model(domains.tables() if tables is None else tables)
    try:
        return whole.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PermanentError(f"{name}: {error}", reason="bad-configuration") from error
    except ValidationError as error:
        lines = locate(text)
        found = [
            _mistake(whole, name, lines, each)
            for each in error.errors(include_url=False, include_input=False)
        ]
        raise PermanentError("\n".join(found), reason="bad-configuration") from error


def _mistake(
    whole: type[Settings], name: str, lines: Mapping[tuple[str | int, ...], int], row: ErrorDetails
) -> str:
    table: Any = whole
    if row["type"] == "extra_forbidden":
        for part in row["loc"][:-1]:
            table = table.model_fields[part].annotation
    key = ".".join(str(part) for part in row["loc"])
    return f"{place(name, row['loc'], lines)}: [{key}] {mistake(row, table)}"
