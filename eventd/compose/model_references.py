"""Finds what a compose file refers to and does not define: networks, volumes, secrets, configs, other services. Pure.

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
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_SECTIONS = {
    "networks": ("network", {"default"}),
    "volumes": ("volume", set[str]()),
    "secrets": ("secret", set[str]()),
    "configs": ("config", set[str]()),
}


def undefined(top: Table, services: Table, tables: dict[str, Table]) -> Iterator[Undefined]:
    """Yield each reference to nothing. `services`: those of the file; `tables`: the rows of each."""
    for name, table in tables.items():
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
