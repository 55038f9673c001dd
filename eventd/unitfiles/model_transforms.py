"""Transforms: keys that a folder or an operator adds to every Quadlet file of a kind, by quadlet-deploy's rules.

Pure text to text. In a transform,

- `Key=Value` is a default: it is added if the spec's section does not assign that key at all;
- `+Key=Value` is prepended: it goes before the spec's own values of that key; several keep their order;
- a section that the spec lacks is added whole.

The spec wins, even with an empty assignment: `Key=` in the spec counts as having the key, so the default is not added;
and because an empty assignment resets everything before it, it also discards prepended values. A list that already
begins with the prepended values is left alone, so applying a transform twice is the same as once. Comments of the spec
stay in place; those of the transform are dropped. Next: `eventd.desired.model_validation`, which knows the origin of
each line.
"""

from __future__ import annotations

from dataclasses import replace

from eventd.unitfiles.model import Line, LineKind, UnitFile

PREPEND = "+"


def apply(spec: UnitFile, transform: UnitFile) -> UnitFile:
    """Return the spec with the transform applied. Both must be free of syntax errors."""
    lines = list(spec.lines)
    for section in transform.sections:
        prepends, defaults = _split(transform, section)
        if section not in spec.sections:
            _append_section(lines, section, transform, [*_flat(prepends), *_flat(defaults)])
            continue
        tail: list[Line] = []
        for key in dict.fromkeys([*prepends, *defaults]):
            own = [
                line
                for line in lines
                if line.kind is LineKind.ENTRY and line.section == section and line.key == key
            ]
            before = prepends.get(key, [])
            if own and [line.value for line in own[: len(before)]] != [line.value for line in before]:
                _insert_before(lines, own[0], before)
            elif not own:
                tail.extend([*before, *defaults.get(key, [])])
        _insert_at_end(lines, section, tail)
    return UnitFile(spec.file, tuple(lines), spec.diagnostics)


def _split(transform: UnitFile, section: str) -> tuple[dict[str, list[Line]], dict[str, list[Line]]]:
    """Return the prepends and the defaults of a section by key, as unit-file lines."""
    prepends: dict[str, list[Line]] = {}
    defaults: dict[str, list[Line]] = {}
    for line in transform.entries(section):
        if line.key.startswith(PREPEND):
            key = line.key.removeprefix(PREPEND)
            raw = line.raw.lstrip().removeprefix(PREPEND)
            prepends.setdefault(key, []).append(_ended(replace(line, key=key, raw=raw)))
        else:
            defaults.setdefault(line.key, []).append(_ended(line))
    return prepends, defaults


def _flat(by_key: dict[str, list[Line]]) -> list[Line]:
    return [line for lines in by_key.values() for line in lines]


def _ended(line: Line) -> Line:
    return line if line.raw.endswith("\n") else replace(line, raw=line.raw + "\n")


def _append_section(lines: list[Line], section: str, transform: UnitFile, entries: list[Line]) -> None:
    header = transform.header(section)
    assert header is not None
    if lines:
        lines[-1] = _ended(lines[-1])
        if lines[-1].kind is not LineKind.BLANK:
            lines.append(Line(LineKind.BLANK, "\n", header.file, header.number, lines[-1].section))
    lines.append(replace(header, raw=f"[{section}]\n"))
    lines.extend(entries)


def _insert_before(lines: list[Line], line: Line, new: list[Line]) -> None:
    """Insert above the line and the comments directly above it."""
    at = next(index for index, candidate in enumerate(lines) if candidate is line)
    while at and lines[at - 1].kind is LineKind.COMMENT:
        at -= 1
    lines[at:at] = new


def _insert_at_end(lines: list[Line], section: str, new: list[Line]) -> None:
    """Insert after the last header or assignment of the section (its last block, if it is repeated)."""
    if not new:
        return
    at = max(
        index
        for index, line in enumerate(lines)
        if line.section == section and line.kind in (LineKind.SECTION, LineKind.ENTRY)
    )
    lines[at] = _ended(lines[at])
    lines[at + 1 : at + 1] = new
