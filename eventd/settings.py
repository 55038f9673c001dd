"""The configuration, `/etc/eventd/eventd.toml`: what the operator says about this host.

A boundary: pydantic models, every unknown key an error. An error names the file, the line and the key. Secrets are
never in here; they are systemd credentials.
"""

from __future__ import annotations

import os
import re
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from eventd.api import model_sockets as sockets
from eventd.kernel.model.durations import parse_duration
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.names import did_you_mean
from eventd.kernel.model.toml_lines import locate
from eventd.storage.model_system_folders import SYSTEM_FOLDERS
from eventd.unitfiles.model_calendar import calendar_problem

DEFAULT_PATH = "/etc/eventd/eventd.toml"


def _seconds(value: object) -> object:
    return parse_duration(value)


def _optional_seconds(value: object) -> object:
    return None if value == "off" else _seconds(value)


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=86400)]
OptionalSeconds = Annotated[
    Annotated[float, Field(ge=10, le=86400)] | None, BeforeValidator(_optional_seconds)
]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Repository(_Table):
    """`[repository]`: where the desired state comes from."""

    url: str = Field(description="https://, ssh://, git@host:path, file:// or an absolute path")
    branch: str = Field(default="main", description="the branch that is followed")
    poll: OptionalSeconds = Field(
        default=None, description='seconds between fetches on hosts that no webhook can reach, or "off"'
    )
    timeout: Seconds = Field(default=120.0, description="for one fetch")
    require_signed: bool = Field(default=False, description="deploy only commits signed by an allowed signer")
    allowed_signers: str = Field(
        default="/etc/eventd/allowed_signers", description="allowed_signers file (ssh-keygen(1))"
    )
    refuse_rewrites: bool = Field(
        default=True, description="refuse a force-push until `eventctl sync --allow-rewrite COMMIT`"
    )
    allow_http: bool = Field(default=False, description="accept a plain http:// URL")


class HostTable(_Table):
    """`[host]`: rules of this host."""

    name: str = Field(default_factory=socket.gethostname, description="which hosts/<name>.toml applies")
    concurrency: int = Field(default=8, ge=1, le=256, description="workloads that are worked on at once")
    protected: frozenset[str] = Field(default=frozenset(), description="accounts that are never touched")
    requires: tuple[str, ...] = Field(
        default=(), description="gates of every workload that does not write `requires` itself"
    )
    transformless: frozenset[str] = Field(
        default=frozenset(), description="folders of the quadlet-deploy layout without a transform"
    )


class Defaults(_Table):
    """`[defaults]`: for what a workload.toml leaves out."""

    deadline: Seconds = Field(default=90.0, description="how long start and health may take")
    grace: Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=3600)] = Field(
        default=1.0, description="how long a started unit has to stay up before a revision counts as applied"
    )
    on_failure: Literal["keep", "rollback"] = Field(
        default="keep", description="what becomes of a revision that fails its start"
    )


class Paths(_Table):
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


class Compose(_Table):
    """`[compose]`: how compose stacks are applied."""

    provider: str = Field(
        default="/usr/bin/docker-compose",
        pattern=r"^(/[A-Za-z0-9._@:+=,-]+)+$",
        description="the program that `podman compose` is to use: docker-compose (v2), or podman-compose",
    )


def _place(path: str) -> str:
    """Accept a folder that a repository's volumes may be mounted in: none of the system's own, nor a home."""
    if not re.fullmatch(r"(?:/[A-Za-z0-9_][A-Za-z0-9._+-]*){1,7}", path):
        raise ValueError("it has to be an absolute path of letters, digits and . _ + -")
    for folder in (*SYSTEM_FOLDERS, "/var"):
        if path == folder or path.startswith(folder + "/") or folder.startswith(path + "/"):
            raise ValueError(f"volumes cannot be mounted in {path}: {folder} is the system's")
    return path


class StorageTable(_Table):
    """`[storage]`: where volumes may be mounted."""

    paths: tuple[Annotated[str, AfterValidator(_place)], ...] = Field(
        default=(), description="folders in which volumes may be mounted, besides /srv, /mnt and /media"
    )


def _calendar(text: str) -> str:
    problem = calendar_problem(text) if text else ""
    if problem:
        raise ValueError(f'{problem}; write "Mon 04:00" or "daily"')
    return text


class Update(_Table):
    """`[update]`: newer images, for workloads whose workload.toml says nothing of it."""

    schedule: Annotated[str, AfterValidator(_calendar)] = Field(
        default="", description="when, as in OnCalendar= of systemd.timer(5); empty: only when asked"
    )
    spread: Annotated[float, BeforeValidator(_seconds), Field(ge=0, le=86400)] = Field(
        default=900.0, description="each workload begins at another moment within so long after that"
    )


def _socket(path: str) -> str:
    if path.rpartition("/")[2] in (sockets.ROOT, sockets.OPERATORS):
        raise ValueError(f"{sockets.ROOT} and {sockets.OPERATORS} are the names of the sockets beside it")
    return path


class Api(_Table):
    """`[api]`: the sockets."""

    socket: Annotated[str, AfterValidator(_socket)] = Field(
        default=sockets.DEFAULT,
        description="for everybody on this host; HTTP and JSON. Beside it are `root.sock` and `operators.sock`",
    )
    group: str = Field(default="eventd", description="may read status; only root may change anything")
    webhook_socket: str = Field(
        default="/run/eventd/webhook.sock", description="for eventd-webhook; takes `POST /v1/pushed` only"
    )
    webhook_group: str = Field(default="eventd-webhook", description="may say that something was pushed")


class Approvals(_Table):
    """`[approvals]`: who may sign for what destroys data."""

    allowed_signers: str = Field(
        default="/etc/eventd/allowed_signers",
        description='allowed_signers file (ssh-keygen(1)); `namespaces="approval@eventd"` is for approvals alone',
    )
    revoked_keys: str = Field(
        default="",
        description="key revocation list, or list of public keys, that no longer count; empty: none",
    )
    lifetime: Annotated[float, BeforeValidator(_seconds), Field(ge=300, le=366 * 86400)] = Field(
        default=7 * 86400.0, description="how long a request can be approved, and an approval be used"
    )


class Buses(_Table):
    """`[dbus]`: addresses; the defaults are those of every systemd host."""

    system: str | None = Field(default=None, description="the system bus; by default where libdbus finds it")
    user: str = Field(default="unix:path=/run/user/{uid}/bus", description="a user's bus")


def _absolute(value: str) -> str:
    if not value.startswith("/") or os.path.normpath(value) != value:
        raise ValueError("has to be an absolute path without `.` and `..`")
    return value


class Provenance(_Table):
    """`[provenance]`: the audit of unit files."""

    allow: frozenset[Annotated[str, AfterValidator(_absolute)]] = Field(
        default=frozenset(),
        description="unit files and drop-ins that are not eventd's and may be there all the same",
    )


class Settings(_Table):
    """The whole file."""

    repository: Repository
    host: HostTable = Field(default_factory=HostTable)
    defaults: Defaults = Field(default_factory=Defaults)
    paths: Paths = Field(default_factory=Paths)
    compose: Compose = Field(default_factory=Compose)
    storage: StorageTable = Field(default_factory=StorageTable)
    update: Update = Field(default_factory=Update)
    api: Api = Field(default_factory=Api)
    dbus: Buses = Field(default_factory=Buses)
    provenance: Provenance = Field(default_factory=Provenance)
    approvals: Approvals = Field(default_factory=Approvals)
    git_account: str | None = Field(
        default="eventd-git",
        description="unprivileged account that runs git; ignored where eventd is not root",
    )
    check_account: str | None = Field(
        default="eventd-check",
        description="unprivileged account that runs podman's generator as a check; ignored where eventd is not root",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="what goes to the journal"
    )


def load(path: str | os.PathLike[str] = DEFAULT_PATH) -> Settings:
    """Read and check the configuration.

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
    return parse(text, str(path))


def parse(text: str, name: str) -> Settings:
    """Check a configuration text; `name` is for errors."""
    try:
        return Settings.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PermanentError(f"{name}: {error}", reason="bad-configuration") from error
    except ValidationError as error:
        lines = locate(text)
        found = [_mistake(name, lines, each) for each in error.errors(include_url=False, include_input=False)]
        raise PermanentError("\n".join(found), reason="bad-configuration") from error


def _mistake(name: str, lines: Any, error: Any) -> str:
    path = tuple(part for part in error["loc"] if isinstance(part, (str, int)))
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), 0)
    key = ".".join(str(part) for part in path)
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        model: Any = Settings
        for part in path[:-1]:
            model = model.model_fields[part].annotation
        near = did_you_mean(str(path[-1]), list(model.model_fields))
        message = f"unknown key{': ' + near if near else ''}"
    elif error["type"] == "missing":
        message = "required, but not there"
    place = f"{name}:{line}" if line else name
    return f"{place}: [{key}] {message}"
