"""Parses what eventd has to know of a compose file: services, images, and what they need of host and repository.

Pure. Reads the nodes of the YAML document rather than values, so that each finding has its line, and so that aliases
are shared and never copied (a "billion laughs" file stays small). The compose provider checks everything else when the
stack starts. The keys are those of the Compose Specification, as in docker-compose 2.26.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import yaml

from eventd.compose.model_keys import SERVICE, TOP
from eventd.compose.model_references import rows_of, undefined
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.names import did_you_mean

NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
"""The names of a stack's main file, the usual one first."""
OVERRIDES = (
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
)


MOST = 256 * 1024
"""The largest compose file in bytes: 1 MiB takes a minute to parse."""
SMALLER = "move large parts into files beside it, and mount those"
PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*")
"""A project name, according to the Compose Specification."""
HOST_PATH = re.compile(r"(/[A-Za-z0-9._@:+=,-]+)+")
"""An absolute path that needs no quoting in ExecStart= (systemd.service(5))."""


@dataclass(frozen=True, slots=True)
class StackMount:
    """A mount of a service whose source is a path or a named volume."""

    source: str
    read_only: bool
    line: int


@dataclass(frozen=True, slots=True)
class StackText:
    """A text with its line."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class StackFile:
    """A file of the host that a service reads when it starts, by an absolute path."""

    path: str
    line: int
    key: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class StackService:
    """One service of a stack."""

    name: str
    line: int
    image: str = ""
    """As written, including variables; empty if it is only built."""
    built: bool = False
    env_files: tuple[str, ...] = ()
    """Env files of the host: absolute paths."""
    binds: tuple[str, ...] = ()
    """Absolute paths of the host that are mounted into the container."""
    volumes: tuple[str, ...] = ()
    """Named volumes that it mounts."""
    mounts: tuple[StackMount, ...] = ()
    """Both, as written."""
    pull: str = ""
    """`pull_policy`, as written."""
    ports: tuple[StackText, ...] = ()
    """`[[IP:]HOST:]CONTAINER[/PROTOCOL]`, from either syntax."""
    environment: tuple[StackText, ...] = ()
    """`KEY=value`, from either syntax; without `=` if the value comes from elsewhere."""
    files: tuple[StackFile, ...] = ()
    """The env files of the host, including optional ones."""
    inside: tuple[StackMount, ...] = ()
    """Mounts of files in the repository beside the compose file."""
    user: str = ""
    """`user`, as written."""


@dataclass(frozen=True, slots=True)
class Stack:
    """The content of a compose file."""

    services: tuple[StackService, ...] = ()
    kept: tuple[StackFile, ...] = ()
    """Files of the host that the top-level `secrets` and `configs` name."""
    name: str = ""
    """`name`, as written."""
    name_line: int = 0
    volumes: tuple[str, ...] = ()
    """The named volumes whose names begin with the project's name."""

    @property
    def files(self) -> tuple[StackFile, ...]:
        """Every file of the host that is read when the stack starts."""
        return (*(each for service in self.services for each in service.files), *self.kept)

    @property
    def env_files(self) -> tuple[str, ...]:
        """Every env file of the host, without duplicates."""
        return tuple(dict.fromkeys(path for service in self.services for path in service.env_files))


@lru_cache(maxsize=8)
def parse_stack(content: bytes, file: str, beside: frozenset[str]) -> tuple[Stack, tuple[Diagnostic, ...]]:
    """Parse a compose file. `beside`: the repository's files, relative to its folder.

    Returns the parts that could be read, and findings about the others.
    """
    if len(content) > MOST:
        return Stack(), (
            _finding(file, 0, "", "bad-yaml", f"the file is larger than {MOST >> 10} KiB", SMALLER),
        )
    try:
        root = yaml.compose(content.decode("utf-8"), Loader=yaml.SafeLoader)
    except UnicodeDecodeError:
        return Stack(), (_finding(file, 0, "", "bad-yaml", "the file is not UTF-8", "save it as UTF-8"),)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
        message = error.problem or "the file is not valid YAML"
        return Stack(), (_finding(file, line, "", "bad-yaml", message, _how_to_mend(error)),)
    except (yaml.YAMLError, RecursionError) as error:
        message = f"the file is not valid YAML: {type(error).__name__}"
        return Stack(), (_finding(file, 0, "", "bad-yaml", message, "nest it less deeply"),)
    reader = _Reader(file, beside)
    return reader.stack(root), tuple(reader.found)


class _Reader:
    """One pass; collects findings."""

    def __init__(self, file: str, beside: frozenset[str]) -> None:
        self.file = file
        self.beside = beside
        self.found: list[Diagnostic] = []

    def stack(self, root: yaml.Node | None) -> Stack:
        top = self.mapping(root, "") if root is not None else {}
        for key, (node, _) in top.items():
            if key not in TOP and not key.startswith("x-"):
                self.say(
                    node, key, "unknown-key", f"compose has no top-level key {key}", did_you_mean(key, TOP)
                )
        services = self.mapping(top["services"][1], "services") if "services" in top else {}
        if not services and "include" not in top and not self.found:
            line = _line(top["services"][0]) if "services" in top else 0
            hint = "a stack needs at least one service"
            self.found.append(_finding(self.file, line, "", "no-services", "there are no services", hint))
        if "include" not in top and not self.beside.intersection(OVERRIDES):
            for node, path, message, hint in undefined(top, services):
                self.say(node, path, "undefined-reference", message, hint)
        return Stack(
            tuple(self.service(name, key, node) for name, (key, node) in services.items()),
            tuple(self._kept(top)),
            self.text(top, "name"),
            _line(top["name"][0]) if "name" in top else 0,
            tuple(self._volumes(top)),
        )

    def _kept(self, top: _Table) -> Iterator[StackFile]:
        for section in ("secrets", "configs"):
            for name, (_, node) in self._rows_of(top, section):
                table = self.mapping(node, f"{section}/{name}")
                if (path := self.text(table, "file")).startswith("/") and "$" not in path:
                    yield StackFile(path, _line(table["file"][1]), f"{section}/{name}/file")

    def _volumes(self, top: _Table) -> Iterator[str]:
        for name, (_, node) in self._rows_of(top, "volumes"):
            table = self.mapping(node, f"volumes/{name}")
            external = self.text(table, "external").lower() in ("true", "yes", "on") or (
                "external" in table and isinstance(table["external"][1], yaml.MappingNode)
            )
            if not external and not self.text(table, "name"):
                yield name

    def _rows_of(self, top: _Table, section: str) -> Iterable[tuple[str, tuple[yaml.Node, yaml.Node]]]:
        return self.mapping(top[section][1], section).items() if section in top else ()

    def service(self, name: str, key: yaml.Node, node: yaml.Node) -> StackService:
        path = f"services/{name}"
        table = self.mapping(node, path)
        for each, (place, _) in table.items():
            if each not in SERVICE and not each.startswith("x-"):
                hint = did_you_mean(each, SERVICE)
                self.say(place, f"{path}/{each}", "unknown-key", f"a service has no key {each}", hint)
        image, built = self.text(table, "image"), "build" in table
        if not image and not built and "extends" not in table and "provider" not in table:
            self.say(key, path, "missing-key", f"the service {name} has neither image nor build", "add image")
        if built:
            self._build(table["build"][1], path)
        files = tuple(self._env_files(table, path))
        env_files = tuple(each.path for each in files if each.required)
        mounts, inside = self._mounts(table, path)
        sources = tuple(dict.fromkeys(mount.source for mount in mounts))
        binds = tuple(source for source in sources if source.startswith("/"))
        volumes = tuple(source for source in sources if not source.startswith("/"))
        pull = self.text(table, "pull_policy")
        ports, environment = tuple(self._ports(table, path)), tuple(self._environment(table))
        return StackService(
            name,
            _line(key),
            image,
            built,
            env_files,
            binds,
            volumes,
            mounts,
            pull,
            ports,
            environment,
            files,
            inside,
            self.text(table, "user"),
        )

    def _ports(self, table: _Table, path: str) -> Iterator[StackText]:
        node = table["ports"][1] if "ports" in table else None
        for entry in node.value if isinstance(node, yaml.SequenceNode) else ():
            if isinstance(entry, yaml.ScalarNode):
                yield StackText(entry.value, _line(entry))
            elif isinstance(entry, yaml.MappingNode):
                rows = self.mapping(entry, f"{path}/ports")
                address, host = self.text(rows, "host_ip"), self.text(rows, "published")
                parts = [f"[{address}]" if ":" in address else address] if address else []
                parts += [host, self.text(rows, "target")] if host else [self.text(rows, "target")]
                yield StackText(f"{':'.join(parts)}/{self.text(rows, 'protocol') or 'tcp'}", _line(entry))

    @staticmethod
    def _environment(table: _Table) -> Iterator[StackText]:
        node = table["environment"][1] if "environment" in table else None
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode):
                    yield StackText(f"{key.value}={value.value}", _line(key))
        for entry in node.value if isinstance(node, yaml.SequenceNode) else ():
            if isinstance(entry, yaml.ScalarNode):
                yield StackText(entry.value, _line(entry))

    def _build(self, node: yaml.Node, path: str) -> None:
        context = node
        if isinstance(node, yaml.MappingNode):
            context = self.mapping(node, f"{path}/build").get("context", (node, node))[1]
        if isinstance(context, yaml.ScalarNode):
            self.in_repository(context, context.value, f"{path}/build")

    def _env_files(self, table: _Table, path: str) -> Iterator[StackFile]:
        if "env_file" not in table:
            return
        node = table["env_file"][1]
        entries = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for entry in entries:
            place, needed = entry, True
            if isinstance(entry, yaml.MappingNode):
                rows = self.mapping(entry, f"{path}/env_file")
                place = rows["path"][1] if "path" in rows else entry
                needed = not (
                    "required" in rows and self.text(rows, "required").lower() in ("false", "no", "off")
                )
            if not isinstance(place, yaml.ScalarNode) or "$" in place.value:
                continue
            if place.value.startswith("/"):
                if not HOST_PATH.fullmatch(place.value):
                    message = f"the path {place.value!r} of an env file contains invalid characters"
                    self.say(
                        place,
                        f"{path}/env_file",
                        "bad-value",
                        message,
                        "use letters, digits, and . _ @ : + = , -",
                    )
                else:
                    yield StackFile(place.value, _line(place), f"{path}/env_file", required=needed)
            elif needed:
                self.in_repository(place, place.value, f"{path}/env_file")

    def _mounts(self, table: _Table, path: str) -> tuple[tuple[StackMount, ...], tuple[StackMount, ...]]:
        """Return the mounts from the host, and those from the repository."""
        found, inside = list[StackMount](), list[StackMount]()
        node = table["volumes"][1] if "volumes" in table else None
        for entry in node.value if isinstance(node, yaml.SequenceNode) else ():
            source, place, read_only = "", entry, False
            if isinstance(entry, yaml.ScalarNode):
                parts = entry.value.split(":")
                source = parts[0] if len(parts) > 1 else ""
                read_only = len(parts) > 2 and "ro" in parts[2].split(",")
            elif isinstance(entry, yaml.MappingNode):
                rows = self.mapping(entry, f"{path}/volumes")
                source, place = self.text(rows, "source"), rows.get("source", (entry, entry))[1]
                read_only = self.text(rows, "read_only").lower() == "true"
            if not source or "$" in source or source.startswith("~"):
                continue
            if source.startswith("."):
                self.in_repository(place, source, f"{path}/volumes")
                inside.append(StackMount(posixpath.normpath(source), read_only, _line(place)))
            else:
                found.append(StackMount(source, read_only, _line(place)))
        return tuple(found), tuple(inside)

    def in_repository(self, node: yaml.Node, written: str, key: str) -> None:
        """Check a relative path: it must name something in the repository, whose folder on the host belongs to root."""
        if "$" in written or "://" in written or written.startswith(("/", "~", "git@")):
            return
        path = posixpath.normpath(written)
        if path == ".." or path.startswith("../"):
            message = f"{written} is outside of the workload's folder"
            self.say(node, key, "escaping-path", message, "name a path below it, or an absolute one")
        elif (
            path != "." and path not in self.beside and not any(p.startswith(f"{path}/") for p in self.beside)
        ):
            hint = "add it to the repository; for the stack's data use a named volume or an absolute path"
            self.say(node, key, "missing-file", f"there is no {path} in this workload", hint)

    def mapping(self, node: yaml.Node | None, key: str) -> _Table:
        """Return a mapping's rows as name -> (key node, value node), with merge keys (`<<`) resolved."""
        if node is None or (isinstance(node, yaml.ScalarNode) and node.value in ("", "null", "~")):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self.say(node, key, "wrong-type", f"{key or 'the file'} must be a mapping")
            return {}
        return rows_of(node)

    @staticmethod
    def text(table: _Table, key: str) -> str:
        """Return a scalar's text, empty if there is none."""
        node = table[key][1] if key in table else None
        return node.value if isinstance(node, yaml.ScalarNode) else ""

    def say(self, node: yaml.Node, key: str, code: str, message: str, hint: str = "") -> None:
        """Add a finding at a node."""
        self.found.append(_finding(self.file, _line(node), key, code, message, hint))


_Table = dict[str, tuple[yaml.Node, yaml.Node]]


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _how_to_mend(error: yaml.MarkedYAMLError) -> str:
    """Return a hint: the cause is often where the construct begins, not where the parser stopped."""
    if "'\\t'" in (error.problem or ""):
        return "indent with spaces: YAML does not allow tabs"
    begun = f", beginning in line {error.context_mark.line + 1}" if error.context_mark is not None else ""
    return f"{error.context}{begun}" if error.context else "check the line before it, too"


def _finding(file: str, line: int, key: str, code: str, message: str, hint: str = "") -> Diagnostic:
    return Diagnostic(Severity.ERROR, file, line, key, message, hint, code)


def stack_files(names: Mapping[str, object]) -> tuple[str, ...]:
    """Return the compose files for the provider, in order: the main file, then its override."""
    main = [name for name in NAMES if name in names][:1]
    return (*main, *([name for name in OVERRIDES if name in names][:1] if main else ()))
