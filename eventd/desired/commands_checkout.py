"""Reads a checkout on disk as the desired state, for `check` and `render`.

Reads the folder, the host's transforms and, if there is one, its configuration. Writes nothing and does not need the
daemon.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventd.desired.adapter_local_tree import read_local_tree
from eventd.desired.model import OnFailure, WorkloadOptions
from eventd.desired.model_assembly import HostRules, assemble
from eventd.desired.model_host_ports import UNPRIVILEGED
from eventd.gates.model import read_gates, refuse
from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.located import Located
from eventd.storage.model_file import PLACES
from eventd.waits.model_refusal import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventd.desired.model import Desired
    from eventd.settings import Settings

CONFIG = "/etc/eventd/eventd.toml"
TRANSFORMS = "/etc/eventd/transforms"
GENERATOR = "/usr/lib/systemd/user-generators/podman-user-generator"


@dataclass(frozen=True, slots=True)
class Checkout:
    """The desired state of a folder, and how it was read."""

    desired: Desired
    host: str
    generator: str
    """Path of the Quadlet generator to run."""
    notes: tuple[str, ...]
    """What was not taken into account, each as a sentence."""
    settings: Settings | None = None
    """This host's configuration; None when checking for another host."""


def read(arguments: Any) -> Checkout:
    """Read the folder named on the command line. Raises PermanentError if it cannot be read."""
    rules, generator, notes, settings = _rules(arguments)
    desired = assemble(read_local_tree(arguments.folder), rules)
    gates, mistakes = read_gates(desired)
    desired = refuse(desired, mistakes)
    if gates:
        # Circular waits within the repository; the host's own units are not known here.
        desired = refuse(desired, refusals(desired))
    here = settings if settings is not None and rules.hostname == settings.host.name else None
    return Checkout(desired, rules.hostname, generator, notes, here)


def _rules(arguments: Any) -> tuple[HostRules, str, tuple[str, ...], Settings | None]:
    """Return the host's rules: the command's options, else the configuration, else eventd's defaults."""
    config = arguments.config or (CONFIG if Path(CONFIG).exists() else "")
    if config and not arguments.config and not os.access(config, os.R_OK):
        notes: tuple[str, ...] = (f"this account cannot read {config}; eventd's defaults are used",)
        config = ""
    else:
        notes = ()
    if not config:
        folder = arguments.transforms or TRANSFORMS
        return (
            HostRules(
                hostname=arguments.host or socket.gethostname(),
                transforms=_transforms(folder, required=bool(arguments.transforms)),
                transforms_folder=folder,
            ),
            GENERATOR,
            notes,
            None,
        )
    from eventd.configured import unprivileged_port_start  # noqa: PLC0415

    # imports pydantic, which is slow: only if there is a file to read
    from eventd.settings import load  # noqa: PLC0415
    from eventd.storage.settings import StorageTable  # noqa: PLC0415
    from eventd.updates.settings import Update  # noqa: PLC0415

    settings = load(config)
    folder = arguments.transforms or settings.paths.transforms
    here = (arguments.host or settings.host.name) == settings.host.name
    rules = HostRules(
        hostname=arguments.host or settings.host.name,
        transforms=_transforms(folder, required=bool(arguments.transforms)),
        transforms_folder=folder,
        transformless=settings.host.transformless,
        protected=settings.host.protected,
        default_requires=tuple(Located(text, config, 0) for text in settings.host.requires),
        options=WorkloadOptions(
            deadline=settings.defaults.deadline,
            grace=settings.defaults.grace,
            on_failure=OnFailure(settings.defaults.on_failure),
            update_schedule=settings.table(Update).schedule or None,
        ),
        update_spread=f"{settings.table(Update).spread:g}s",
        storage_paths=(*PLACES, *settings.table(StorageTable).paths),
        unprivileged_port_start=unprivileged_port_start() if here else UNPRIVILEGED,
    )
    return rules, settings.paths.generator, notes, settings


def _transforms(folder: str, *, required: bool) -> Mapping[str, bytes]:
    """Return the host's transform files by name. `required`: a missing folder is an error."""
    try:
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir()) if path.is_file()}
    except FileNotFoundError as error:
        if not required:
            return {}
        raise PermanentError(f"there is no folder {folder}", reason="unreadable") from error
    except OSError as error:
        raise PermanentError(
            f"cannot read {error.filename}: {error.strerror}", reason="unreadable"
        ) from error
