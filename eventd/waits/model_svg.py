"""Draws the wait graph as SVG: one file, without scripts or embedded fonts.

Pure: takes the document of `GET /v1/gates`. Circular waits are red and thick. An arrow leads from who waits to what is
waited for; a line without a tip joins a workload with its units. A gate shows by word and colour whether it is open or
shut. The colours follow the reader's light or dark setting. All texts are escaped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from eventd.kernel.model.letters import mono, width
from eventd.waits.model_layout import Box, Layout, lay_out

LABEL, SMALL, TITLE = 12.0, 11.0, 15.0
"""Font sizes in pixels, as in the style sheet below."""
HEIGHT, PAD, MARGIN, FOOT = 44.0, 14.0, 28.0, 30.0
LONGEST = 46
"""Characters of a label. A longer one is cut in the middle; the tooltip has all of it."""
LEGEND = (
    "An arrow leads from who waits to what is waited for; a line without a tip joins a workload and its units."
    " Point at one to read why."
)
_PROTOCOLS: Mapping[str, str] = {"tcp": "port", "dns": "name", "http": "URL", "https": "URL"}
_VERBS: Mapping[str, str] = {
    "wait": "waits for",
    "gate": "needs",
    "served": "answered by",
    "order": "after",
    "part": "part of",
    "inner": "gate",
}
_STYLE = """
  .page { fill: #ffffff } .title { fill: #1f2328; font-weight: 600 } .small { fill: #59636e }
  .box { fill: #f6f8fa; stroke: #8c959f; stroke-width: 1.2 } .label { fill: #1f2328 }
  .workload .box { fill: #ddf4ff; stroke: #0969da } .gate .box { fill: #f6f8fa; stroke: #9a6700 }
  .open .box { fill: #ffffff; stroke: #1a7f37 } .shut .box { fill: #fff8c5; stroke: #9a6700; stroke-width: 3 }
  .open .word { fill: #1a7f37 } .shut .word { fill: #9a6700; font-weight: 600 } .part .edge { stroke-dasharray: 2 3 }
  .answer .box { fill: #dafbe1; stroke: #1a7f37 } .fact .box { fill: #ffffff; stroke-dasharray: 4 3 }
  .edge { fill: none; stroke: #8c959f; stroke-width: 1.3 } .verb { fill: #59636e } .halo { fill: #ffffff }
  .tip { fill: #8c959f } .bad .edge, .bad .box { stroke: #cf222e; stroke-width: 2.4 }
  .bad .tip, .bad .verb { fill: #cf222e } .bad .box { fill: #ffebe9 }
  text { font-family: ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif; font-size: 11px }
  .label { font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; font-size: 12px }
  .title { font-size: 15px }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .title, .label { fill: #e6edf3 } .small, .verb { fill: #9198a1 }
    .box { fill: #161b22; stroke: #6e7681 } .workload .box { fill: #0c2d6b; stroke: #58a6ff }
    .gate .box { fill: #161b22; stroke: #d29922 } .open .box { fill: #0d1117; stroke: #3fb950 }
    .shut .box { fill: #341a00; stroke: #d29922 } .open .word { fill: #3fb950 } .shut .word { fill: #d29922 }
    .answer .box { fill: #04260f; stroke: #3fb950 }
    .fact .box { fill: #0d1117 } .edge { stroke: #6e7681 } .tip { fill: #6e7681 } .halo { fill: #0d1117 }
    .bad .edge, .bad .box { stroke: #ff7b72 } .bad .tip, .bad .verb { fill: #ff7b72 }
    .bad .box { fill: #3d0c11 }
  }
""".strip("\n")


def draw(document: Mapping[str, Any], title: str) -> str:
    """Return the picture of a document with `nodes`, `edges` and `cycles`."""
    nodes = {str(node["id"]): node for node in document["nodes"]}
    bad = {str(node) for cycle in document["cycles"] for node in cycle["nodes"]}
    edges = _without_shortcuts(_edges(_joined(document["edges"], nodes)))
    gates = {_gate(row): row for row in document.get("gates", ())}
    sizes = {name: _size(node, gates.get(name)) for name, node in nodes.items()}
    layout = lay_out(sizes, edges)
    state = _state(document)
    wide = (
        max(layout.width, width(title, TITLE, bold=True), width(state, SMALL), width(LEGEND, SMALL))
        + 2 * MARGIN
    )
    tall = layout.height + 2 * MARGIN + 40 + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{tall:.0f}" '
        f'viewBox="0 0 {wide:.0f} {tall:.0f}" role="img" aria-labelledby="title state">',
        f"<title id='title'>{_text(title)}</title><desc id='state'>{_text(state)}</desc>",
        f"<style>\n{_STYLE}\n</style>",
        f'<rect class="page" width="{wide:.0f}" height="{tall:.0f}"/>',
        f'<text class="title" x="{MARGIN:.0f}" y="{MARGIN + 6:.0f}">{_text(title)}</text>',
        f'<text class="small" x="{MARGIN:.0f}" y="{MARGIN + 24:.0f}">{_text(state)}</text>',
        f'<g transform="translate({MARGIN:.0f} {MARGIN + 40:.0f})">',
        *(_edge(layout, pair, edge) for pair, edge in edges.items()),
        *(_node(layout.boxes[name], node, gates.get(name), bad=name in bad) for name, node in nodes.items()),
        *(_verb(layout, pair, edge) for pair, edge in edges.items()),
        "</g>",
        _legend(tall),
        "</svg>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _gate(row: Mapping[str, Any]) -> str:
    """Return the id of a gate's node."""
    key = "requires" if row["kind"] == "requires" else "health.expect"
    return f"gate:{row['workload']}/{key}"


def _joined(
    found: Sequence[Mapping[str, Any]], nodes: Mapping[str, Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Replace the two edges between a workload and its unit by one line from the workload, which means membership."""
    circular = {frozenset((edge["from"], edge["to"])) for edge in found if edge["circular"]}
    joined: list[Mapping[str, Any]] = []
    for edge in found:
        if edge["kind"] != "part" or edge["circular"]:
            joined.append(edge)
            continue
        ends = [str(edge["from"]), str(edge["to"])]
        if frozenset(ends) in circular:
            continue
        if nodes.get(ends[1], {}).get("kind") == "workload":
            ends.reverse()
        workload, unit = (str(nodes.get(end, {}).get("label", end)) for end in ends)
        sentence = f"{unit} is a unit of workload {workload}"
        joined.append({**edge, "from": ends[0], "to": ends[1], "sentence": sentence})
    return joined


def _edges(found: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return one edge per pair: the circular one, or else the first."""
    edges: dict[tuple[str, str], Mapping[str, Any]] = {}
    for edge in found:
        pair = (str(edge["from"]), str(edge["to"]))
        if pair not in edges or (edge["circular"] and not edges[pair]["circular"]):
            edges[pair] = edge
    return edges


def _without_shortcuts(
    edges: dict[tuple[str, str], Mapping[str, Any]],
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Leave out each ordering that follows from others."""
    kept = dict(edges)
    for pair, edge in edges.items():
        if edge["kind"] != "order" or edge["circular"]:
            continue
        seen, todo = {pair[0]}, [pair[0]]
        while todo:
            at = todo.pop()
            found = {b for a, b in kept if a == at and (a, b) != pair} - seen
            seen |= found
            todo += found
        if pair[1] in seen:
            del kept[pair]
    return kept


def _state(document: Mapping[str, Any]) -> str:
    count, gates = len(document["cycles"]), document.get("gates", ())
    shut = sum(1 for row in gates if row["holds"] is not True)
    if not count:
        of = f"; {shut} of {len(gates)} gates {'is' if shut == 1 else 'are'} shut" if gates else ""
        return f"no wait is circular{of}"
    return f"{count} circular wait{'s' if count > 1 else ''}: " + str(document["cycles"][0]["headline"])


def _size(node: Mapping[str, Any], gate: Mapping[str, Any] | None) -> tuple[float, float]:
    label = _short(str(node["label"]))
    return max(
        mono(label, LABEL), width(_caption(node, gate), SMALL, bold=gate is not None), 40
    ) + 2 * PAD, HEIGHT


def _gate_state(gate: Mapping[str, Any] | None) -> str:
    """Return the state of a gate in a word; empty if it is not a gate, or its state is unknown."""
    return "" if gate is None else "open" if gate["holds"] is True else "shut"


def _caption(node: Mapping[str, Any], gate: Mapping[str, Any] | None) -> str:
    """Return the kind of a node, and the state of a gate."""
    if state := _gate_state(gate):
        return f"gate, {state}"
    protocol = str(node["label"]).partition(":")[0]
    return _PROTOCOLS.get(protocol, "URL") if node["kind"] == "answer" else _text(str(node["kind"]))


def _node(box: Box, node: Mapping[str, Any], gate: Mapping[str, Any] | None, *, bad: bool) -> str:
    kind, label, state = str(node["kind"]), str(node["label"]), _gate_state(gate)
    missing = [str(part) for part in gate["missing"]] if gate is not None else []
    tip = "; ".join([label, *missing])
    radius = {"answer": box.height / 2, "gate": 4, "workload": 12}.get(kind, 8)
    x, y = box.x - box.width / 2, box.y - box.height / 2
    return (
        f'<g class="{kind}{state and " " + state}{" bad" if bad else ""}"><title>{_text(tip)}</title>'
        f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'rx="{radius:.0f}"/>'
        f'<text class="{"word" if state else "small"}" x="{box.x:.1f}" y="{box.y - 6:.1f}" text-anchor="middle">'
        f"{_caption(node, gate)}</text>"
        f'<text class="label" x="{box.x:.1f}" y="{box.y + 11:.1f}" text-anchor="middle">'
        f"{_text(_short(label))}</text></g>"
    )


def _edge(layout: Layout, pair: tuple[str, str], edge: Mapping[str, Any]) -> str:
    if pair not in layout.paths:  # a node that waits for itself
        return ""
    points = layout.paths[pair]
    (x, y), *rest = points
    path = [f"M{x:.1f} {y:.1f}"]
    for number, (to_x, to_y) in enumerate(rest):
        bend = (to_x - x) / 2
        curve = f"C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
        path.append(f"H{to_x:.1f}" if number % 2 else curve)
        x, y = to_x, to_y
    ahead = 1 if points[-1][0] >= points[-2][0] else -1
    tip = f"M{x:.1f} {y:.1f}l{-9 * ahead} -4.5v9z"
    bad = " bad" if edge["circular"] else ""
    head = "" if edge["kind"] == "part" and not bad else f'<path class="tip" d="{tip}"/>'
    return (
        f'<g class="{edge["kind"]}{bad}"><title>{_text(str(edge["sentence"]))}</title>'
        f'<path class="edge" d="{"".join(path)}"/>{head}</g>'
    )


def _verb(layout: Layout, pair: tuple[str, str], edge: Mapping[str, Any]) -> str:
    """Return the word on an edge. Only waits, servers and circular edges have one."""
    if pair not in layout.paths or (edge["kind"] not in ("wait", "served") and not edge["circular"]):
        return ""
    points = layout.paths[pair]
    (x, y), (to_x, to_y) = points[0], points[1]
    at_x, at_y = (x + to_x) / 2, (y + to_y) / 2
    verb = _VERBS.get(str(edge["kind"]), str(edge["kind"]))
    wide = width(verb, SMALL) + 4
    return (
        f'<g class="{"bad" if edge["circular"] else ""}">'
        f'<rect class="halo" x="{at_x - wide / 2:.1f}" y="{at_y - 7:.1f}" width="{wide:.1f}" height="14"/>'
        f'<text class="verb" x="{at_x:.1f}" y="{at_y + 4:.1f}" text-anchor="middle">{verb}</text></g>'
    )


def _legend(tall: float) -> str:
    return f'<text class="small" x="{MARGIN:.0f}" y="{tall - 14:.0f}">{LEGEND}</text>'


def _short(label: str) -> str:
    if len(label) <= LONGEST:
        return label
    half = LONGEST // 2
    return f"{label[:half]}…{label[-(LONGEST - half - 1) :]}"


def _text(value: str) -> str:
    """Escape a text. Characters that XML 1.0 does not allow become U+FFFD."""
    return escape(
        "".join(c if c >= " " and c not in "\ufffe\uffff" else "\N{REPLACEMENT CHARACTER}" for c in value)
    )
