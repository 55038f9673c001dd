"""Parses `workload.toml` and `hosts/<hostname>.toml`; every error has its place and key path.

Pure. Predicates (`requires`, `expect`) and the update schedule stay text and are checked elsewhere. Each layer
overrides the one before: the host's defaults, `workload.toml`, `[workload.NAME]` of the host's file.
Next: `eventd.desired.model_assembly`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from eventd.compose.model_file import HOST_PATH, PROJECT
from eventd.desired.model import OnChange, OnFailure, OnUnhealthy, RemoveData, WorkloadOptions
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.durations import parse_duration
from eventd.kernel.model.located import Located
from eventd.kernel.model.names import user_problem
from eventd.kernel.model.toml_table import Table as _Table
from eventd.kernel.model.toml_table import choice as _choice
from eventd.kernel.model.toml_table import load_table as _load
from eventd.kernel.model.toml_table import subtable as _subtable
from eventd.kernel.model.toml_table import text_of as _text
from eventd.kernel.model.toml_table import texts as _texts
from eventd.kernel.model.toml_table import unknown as _unknown
from eventd.unitfiles.model_calendar import calendar_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from eventd.kernel.model.toml_lines import Path

OPTION_KEYS: Mapping[str, tuple[str, ...]] = {
    "": ("transform", "requires", "manual", "renamed_from"),
    "health": ("expect", "deadline", "grace", "on_failure", "on_unhealthy"),
    "update": ("schedule", "hold"),
    "remove": ("data",),
    "storage": ("volumes", "deadline", "bulk"),
    "compose": ("env_files", "timeout", "project"),
    "files": ("on_change",),
}
"""Table -> its keys, in `workload.toml` and in `[workload.NAME]` of a host's file."""
HOST_KEYS = ("workloads", "exclude", "workload")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one workload, and where those that are checked later are written."""

    values: WorkloadOptions = field(default_factory=WorkloadOptions)
    manual: tuple[Located, ...] = ()
    transform: Located | None = None
    explicit_requires: bool = False
    """`requires` is set, if only to an empty list: the host's default requirements do not apply."""
    explicit_deadline: bool = False
    """`deadline` is set: a health check that may take longer does not raise it."""


@dataclass(frozen=True, slots=True)
class HostFile:
    """`hosts/<hostname>.toml`: which workloads run on this host, and the options that it overrides."""

    workloads: tuple[Located, ...] | None = None
    """None: all."""
    exclude: tuple[Located, ...] = ()
    overrides: Mapping[str, _Table] = field(default_factory=dict)

    def selects(self, name: str) -> bool:
        """Return whether the workload is for this host."""
        if self.workloads is not None:
            return name in {each.text for each in self.workloads}
        return name not in {each.text for each in self.exclude}

    def override(self, name: str, options: Options) -> tuple[Options, tuple[Diagnostic, ...]]:
        """Return the options with this host's overrides for the workload, and the errors in those."""
        table = self.overrides.get(name)
        return _read_options(table, options) if table else (options, ())

    def sets(self, name: str) -> frozenset[str]:
        """Return the options that this file sets for a workload: `requires`, `health.deadline`."""
        table = self.overrides.get(name)
        data = table.data if table else {}
        return frozenset(
            f"{key}.{inner}" if isinstance(value, dict) else key
            for key, value in data.items()
            for inner in (value if isinstance(value, dict) else ("",))
        )


def parse_options(content: bytes, file: str, base: Options) -> tuple[Options, tuple[Diagnostic, ...]]:
    """Read a `workload.toml` over `base`. An invalid value keeps that of `base`."""
    table = _load(content, file)
    return (base, (table,)) if isinstance(table, Diagnostic) else _read_options(table, base)


def parse_host(content: bytes, file: str) -> tuple[HostFile, tuple[Diagnostic, ...]]:
    """Read a `hosts/<hostname>.toml`. If there is any error, the result must not be used."""
    table = _load(content, file)
    if isinstance(table, Diagnostic):
        return HostFile(), (table,)
    found = _unknown(table, HOST_KEYS, _elsewhere(("workload", "NAME")))
    workloads = _texts(table, "workloads", found) if "workloads" in table.data else None
    exclude = _texts(table, "exclude", found) or ()
    if workloads is not None and exclude:
        found.append(
            table.error(
                "bad-value", "workloads and exclude are both given", "exclude", hint="keep one of them"
            )
        )
    overrides: dict[str, _Table] = {}
    if (section := _subtable(table, "workload", found)) is not None:
        for name in section.data:
            if (override := _subtable(section, name, found)) is not None:
                overrides[name] = override
                found.extend(_read_options(override, Options())[1])
    return HostFile(workloads, exclude, overrides), tuple(found)


def _read_options(table: _Table, base: Options) -> tuple[Options, tuple[Diagnostic, ...]]:
    known = (*OPTION_KEYS[""], *filter(None, OPTION_KEYS))
    found = _unknown(table, known, _elsewhere(table.path))
    values: dict[str, Any] = {}
    transform, manual, explicit = base.transform, base.manual, base.explicit_requires
    patient = base.explicit_deadline
    if (text := _text(table, "transform", found)) is not None:
        transform = text
        values["transform"] = text.text
    if (texts := _texts(table, "requires", found)) is not None:
        values["requires"] = texts
        explicit = True
    if (text := _text(table, "renamed_from", found)) is not None:
        values["renamed_from"] = text
        if text.text and (problem := user_problem(text.text)):
            hint = 'write the earlier name of this workload, or "" for a new one'
            found.append(table.error("bad-value", problem[1], "renamed_from", hint=hint))
    if (texts := _texts(table, "manual", found)) is not None:
        manual = texts
        values["manual"] = frozenset(each.text for each in texts)
    if (health := _section(table, "health", found)) is not None:
        if (texts := _texts(health, "expect", found)) is not None:
            values["expect"] = texts
        for key in ("deadline", "grace"):
            if key in health.data:
                try:
                    values[key] = parse_duration(health.data[key])
                except ValueError as error:
                    found.append(health.error("bad-duration", str(error), key, hint='write "90s" or "2min"'))
        if values.get("deadline") == 0:
            del values["deadline"]
            found.append(health.error("bad-duration", "the deadline must be longer than zero", "deadline"))
        patient |= "deadline" in values
        if (choice := _choice(health, "on_failure", tuple(OnFailure), found)) is not None:
            values["on_failure"] = OnFailure(choice)
        if (choice := _choice(health, "on_unhealthy", tuple(OnUnhealthy), found)) is not None:
            values["on_unhealthy"] = OnUnhealthy(choice)
    if (compose := _section(table, "compose", found)) is not None:
        values |= _compose(compose, found)
    if (update := _section(table, "update", found)) is not None:
        values |= _update(update, found)
    if (storage := _section(table, "storage", found)) is not None:
        if (texts := _texts(storage, "volumes", found)) is not None:
            values["volumes"] = texts
        if (texts := _texts(storage, "bulk", found)) is not None:
            values["bulk"] = frozenset(each.text for each in texts)
        if "deadline" in storage.data:
            try:
                values["volume_deadline"] = parse_duration(storage.data["deadline"])
            except ValueError as error:
                found.append(storage.error("bad-duration", str(error), "deadline", hint='write "1h" or "2d"'))
    if (remove := _section(table, "remove", found)) is not None and (
        choice := _choice(remove, "data", tuple(RemoveData), found)
    ) is not None:
        values["remove_data"] = RemoveData(choice)
    if (files := _section(table, "files", found)) is not None and (
        choice := _choice(files, "on_change", tuple(OnChange), found)
    ) is not None:
        values["on_change"] = OnChange(choice)
    return Options(replace(base.values, **values), manual, transform, explicit, patient), tuple(found)


def _update(table: _Table, found: list[Diagnostic]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if (place := _text(table, "schedule", found)) is not None:
        if place.text and (problem := calendar_problem(place.text)):
            hint = 'write "Mon 04:00" or "daily"; systemd.time(7), "Calendar Events"'
            found.append(table.error("bad-value", problem, "schedule", hint=hint))
        else:
            values["update_schedule"] = place.text
    if "hold" in table.data:
        if isinstance(table.data["hold"], bool):
            values["update_hold"] = table.data["hold"]
        else:
            found.append(table.error("wrong-type", "hold must be true or false", "hold"))
    return values


def _compose(table: _Table, found: list[Diagnostic]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if (files := _texts(table, "env_files", found)) is not None:
        for each in files:
            if not HOST_PATH.fullmatch(each.text):
                message = (
                    f"{each.text!r} must be the absolute path of a file of the host, without spaces or %"
                )
                found.append(
                    Diagnostic(
                        Severity.ERROR, each.file, each.line, "compose.env_files", message, "", "bad-value"
                    )
                )
        values["compose_env_files"] = files
    if (project := _text(table, "project", found)) is not None:
        if PROJECT.fullmatch(project.text):
            values["compose_project"] = project.text
        else:
            hint = "use lower-case letters, digits, - and _, beginning with a letter or digit"
            found.append(
                table.error(
                    "bad-value", f"{project.text!r} is not a valid project name", "project", hint=hint
                )
            )
    if "timeout" in table.data:
        try:
            values["compose_timeout"] = parse_duration(table.data["timeout"])
        except ValueError as error:
            found.append(table.error("bad-duration", str(error), "timeout", hint='write "120s" or "2min"'))
    if values.get("compose_timeout") == 0:
        del values["compose_timeout"]
        found.append(table.error("bad-duration", "the timeout must be longer than zero", "timeout"))
    return values


def _section(table: _Table, key: str, found: list[Diagnostic]) -> _Table | None:
    section = _subtable(table, key, found)
    if section is not None:
        found.extend(_unknown(section, OPTION_KEYS[key], _elsewhere(table.path)))
    return section


def _elsewhere(root: Path) -> dict[str, str]:
    """Return a hint for each key that says where it belongs. `root`: the table that contains all others."""
    above = f"into [{'.'.join(map(str, root))}]" if root else "above the first [table]"
    places: dict[str, list[str]] = {}
    for section, keys in OPTION_KEYS.items():
        for key in keys:
            place = f"into [{'.'.join(map(str, (*root, section)))}]" if section else above
            places.setdefault(key, []).append(place)
    return {key: f"{key} belongs {' or '.join(found)}" for key, found in places.items()}
