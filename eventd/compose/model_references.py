"""The rows of a compose file, and what it refers to and does not define: networks, volumes, other services. Pure.

docker-compose refuses such a file as a whole when the stack starts. Not checked where other files may define it:
`include`, `extends`, an override file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import yaml

from eventd.kernel.model.names import did_you_mean

Table = dict[str, tuple[yaml.Node, yaml.Node]]
Undefined = tuple[yaml.Node, str, str, str]
"""Where it is named, the key, what is wrong, and what to do."""
_MERGES = 8
"""The maximal depth of merge keys: an alias may refer to what contains it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SECTIONS = {
    "networks": ("network", {"default"}),
    "volumes": ("volume", set[str]()),
    "secrets": ("secret", set[str]()),
    "configs": ("config", set[str]()),
}


def rows_of(node: yaml.MappingNode) -> Table:
    """Return a mapping's rows as name -> (key node, value node), with merge keys (`<<`) resolved."""
    rows: Table = {}
    _merge(node, rows, depth=0)
    return rows


def _merge(node: yaml.MappingNode, rows: Table, depth: int) -> None:
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge" and depth < _MERGES:
            for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(each, yaml.MappingNode):
                    merged: Table = {}
                    _merge(each, merged, depth + 1)
                    for name, row in merged.items():
                        rows.setdefault(name, row)
        elif isinstance(key, yaml.ScalarNode):
            rows[key.value] = (key, value)


def undefined(top: Table, services: Table) -> Iterator[Undefined]:
    """Yield each reference to nothing. `services`: those of the file."""
    for name, (_, service) in services.items():
        table = rows_of(service) if isinstance(service, yaml.MappingNode) else {}
        if "extends" in table:
            continue
        for node, wanted in _names(table, "depends_on"):
            if wanted not in services:
                message = f"{name} depends on {wanted}, and there is no such service"
                yield node, f"services/{name}/depends_on", message, did_you_mean(wanted, services)
        for section, (word, implied) in _SECTIONS.items():
            defined = {*implied, *_keys(top, section)}
            for node, wanted in _names(table, section):
                if wanted not in defined:
                    message = f"the {word} {wanted} is not defined in this file"
                    hint = (
                        did_you_mean(wanted, _keys(top, section)) or f"add it: {section}: {{{wanted}: {{}}}}"
                    )
                    yield node, f"services/{name}/{section}", message, hint


def _keys(top: Table, section: str) -> list[str]:
    node = top[section][1] if section in top else None
    if not isinstance(node, yaml.MappingNode):
        return []
    return [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]


def _names(table: Table, section: str) -> Iterator[tuple[yaml.Node, str]]:
    """Yield the names in a list, or in a mapping by name; of volumes only named ones."""
    node = table[section][1] if section in table else None
    if isinstance(node, yaml.MappingNode):
        yield from ((key, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
    for entry in node.value if isinstance(node, yaml.SequenceNode) else ():
        if isinstance(entry, yaml.ScalarNode):
            source, colon, _ = entry.value.partition(":")
            if _NAME.fullmatch(source) and (colon or section != "volumes"):
                yield entry, source
        elif isinstance(entry, yaml.MappingNode):
            rows = {key.value: value.value for key, value in entry.value if isinstance(key, yaml.ScalarNode)}
            source, mounted = rows.get("source"), section != "volumes" or rows.get("type") == "volume"
            if mounted and isinstance(source, str) and _NAME.fullmatch(source):
                yield entry, source
