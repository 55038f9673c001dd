"""Lays out a picture: boxes in layers from left to right, each before what it waits for.

Pure geometry. Layers are by the longest path; barycentres keep crossings few (Sugiyama's method); then each box moves
towards its neighbours. A long edge gets a bend in each layer that it passes. Next: `eventd.waits.model_svg`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 8
PORT = 11.0
"""The distance between the ends of two edges at one side of a box."""
GAP_X, GAP_Y, BEND = 96.0, 22.0, 10.0
"""The distance between layers, and between boxes; the height that a passing edge takes."""


@dataclass(frozen=True, slots=True)
class Box:
    """The centre and the size of a placed node."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The layout of a picture."""

    boxes: Mapping[str, Box]
    paths: Mapping[tuple[str, str], tuple[tuple[float, float], ...]]
    """Edge -> its points, from the side of the first box to that of the second. It is horizontal between the second and
    the third point, the fourth and the fifth, and so on, past the boxes of a layer."""
    width: float
    height: float


def lay_out(sizes: Mapping[str, tuple[float, float]], edges: Iterable[tuple[str, str]]) -> Layout:
    """Place boxes of the given widths and heights. Edges of unknown names are left out."""
    pairs = [(a, b) for a, b in dict.fromkeys(edges) if a in sizes and b in sizes and a != b]
    forward = _acyclic(list(sizes), pairs)
    layer = _layers(list(sizes), forward)
    rows, chains = _with_bends(layer, forward)
    _uncross(rows, chains)
    columns, width = _columns(rows, sizes)
    ys = _heights(rows, chains, sizes)
    top = min((ys[name] - _height(name, sizes) / 2 for name in ys), default=0.0)
    boxes = {name: Box(columns[layer[name]][0], ys[name] - top, *sizes[name]) for name in sizes}
    paths: dict[tuple[str, str], tuple[tuple[float, float], ...]] = {}
    for a, b in pairs:
        chain = chains[(a, b)] if (a, b) in chains else tuple(reversed(chains[(b, a)]))
        paths[(a, b)] = _path(boxes, chain, ys, columns, top)
    _separate_ends(boxes, paths)
    height = max((box.y + box.height / 2 for box in boxes.values()), default=0.0)
    height = max([height, *(y + BEND for path in paths.values() for _, y in path)])
    return Layout(boxes, paths, width, height)


def _path(
    boxes: Mapping[str, Box],
    chain: Sequence[str],
    ys: Mapping[str, float],
    columns: Sequence[tuple[float, float]],
    top: float,
) -> tuple[tuple[float, float], ...]:
    """Return the points of an edge, which is horizontal past each layer, so that it crosses no box."""
    one, other = boxes[chain[0]], boxes[chain[-1]]
    ahead = 1 if other.x >= one.x else -1
    points = [(one.x + ahead * one.width / 2, one.y)]
    for bend in chain[1:-1]:
        x, wide = columns[int(bend.rpartition("\0")[2])]
        points += [(x - ahead * wide / 2, ys[bend] - top), (x + ahead * wide / 2, ys[bend] - top)]
    return (*points, (other.x - ahead * other.width / 2, other.y))


def _separate_ends(
    boxes: Mapping[str, Box], paths: dict[tuple[str, str], tuple[tuple[float, float], ...]]
) -> None:
    """Move the ends of edges at one side of a box apart, in the order of their next points."""
    ends: dict[tuple[str, bool], list[tuple[float, tuple[str, str], int]]] = {}
    for pair, path in paths.items():
        ends.setdefault((pair[0], path[0][0] > boxes[pair[0]].x), []).append((path[1][1], pair, 0))
        ends.setdefault((pair[1], path[-1][0] > boxes[pair[1]].x), []).append((path[-2][1], pair, -1))
    for (name, _), found in ends.items():
        step = min(PORT, (boxes[name].height - 12) / max(len(found) - 1, 1))
        for number, (_, pair, end) in enumerate(sorted(found)):
            moved = list(paths[pair])
            x, y = moved[end]
            moved[end] = (x, y + (number - (len(found) - 1) / 2) * step)
            paths[pair] = tuple(moved)


def _acyclic(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the edges, with back edges reversed, by a depth-first search from the sources."""
    out: dict[str, list[str]] = {name: [] for name in names}
    into = dict.fromkeys(names, 0)
    for a, b in pairs:
        out[a].append(b)
        into[b] += 1
    state: dict[str, int] = {}
    forward: list[tuple[str, str]] = []
    for root in sorted(names, key=lambda name: into[name] > 0):
        if root in state:
            continue
        state[root] = 1
        work = [(root, iter(out[root]))]
        while work:
            name, others = work[-1]
            for other in others:
                back = state.get(other) == 1
                forward.append((other, name) if back else (name, other))
                if other not in state:
                    state[other] = 1
                    work.append((other, iter(out[other])))
                    break
            else:
                state[name] = 2
                work.pop()
    return list(dict.fromkeys(forward))


def _layers(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the layer of each name: the longest path from a source. Sources move next to what follows them."""
    out: dict[str, list[str]] = {name: [] for name in names}
    into = dict.fromkeys(names, 0)
    for a, b in edges:
        out[a].append(b)
        into[b] += 1
    layer = dict.fromkeys(names, 0)
    sources = {name for name in names if not into[name]}
    ready = [name for name in names if name in sources]
    while ready:
        name = ready.pop(0)
        for other in out[name]:
            layer[other] = max(layer[other], layer[name] + 1)
            into[other] -= 1
            if not into[other]:
                ready.append(other)
    for name in sources:
        if out[name]:
            layer[name] = min(layer[other] for other in out[name]) - 1
    return layer


def _with_bends(
    layer: Mapping[str, int], edges: Sequence[tuple[str, str]]
) -> tuple[list[list[str]], dict[tuple[str, str], tuple[str, ...]]]:
    """Return the names of each layer, including bends, and for each edge the names that it passes."""
    rows: list[list[str]] = [[] for _ in range(max(layer.values(), default=0) + 1)]
    for name in layer:
        rows[layer[name]].append(name)
    chains: dict[tuple[str, str], tuple[str, ...]] = {}
    for a, b in edges:
        bends = [f"{a}\0{b}\0{number}" for number in range(layer[a] + 1, layer[b])]
        for number, bend in enumerate(bends, layer[a] + 1):
            rows[number].append(bend)
        chains[(a, b)] = (a, *bends, b)
    return rows, chains


def _links(
    chains: Mapping[tuple[str, str], tuple[str, ...]],
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Return the neighbours of each name on the left, and on the right."""
    left: dict[str, list[str]] = {}
    right: dict[str, list[str]] = {}
    for chain in chains.values():
        for a, b in pairwise(chain):
            right.setdefault(a, []).append(b)
            left.setdefault(b, []).append(a)
    return left, right


def _uncross(rows: list[list[str]], chains: Mapping[tuple[str, str], tuple[str, ...]]) -> None:
    """Sort each layer by the mean position of its neighbours, from left to right and back."""
    left, right = _links(chains)
    for sweep in range(SWEEPS):
        ahead = sweep % 2 == 0
        numbers = range(1, len(rows)) if ahead else range(len(rows) - 2, -1, -1)
        for number in numbers:
            near = rows[number - 1 if ahead else number + 1]
            rows[number] = _by_mean(rows[number], near, left if ahead else right)


def _by_mean(row: Sequence[str], near: Sequence[str], links: Mapping[str, Sequence[str]]) -> list[str]:
    """Sort a layer by the mean position of its neighbours in the next one. A name without any stays where it is."""
    place = {name: index for index, name in enumerate(near)}

    def mean(index: int) -> float:
        found = [place[other] for other in links.get(row[index], ()) if other in place]
        return sum(found) / len(found) if found else float(index)

    return [row[index] for index in sorted(range(len(row)), key=lambda index: (mean(index), index))]


def _columns(
    rows: Sequence[Sequence[str]], sizes: Mapping[str, tuple[float, float]]
) -> tuple[list[tuple[float, float]], float]:
    """Return the centre and width of each layer, and the total width."""
    columns: list[tuple[float, float]] = []
    at = 0.0
    for row in rows:
        wide = max((sizes[name][0] for name in row if name in sizes), default=0.0)
        columns.append((at + wide / 2, wide))
        at += wide + GAP_X
    return columns, max(at - GAP_X, 0.0)


def _height(name: str, sizes: Mapping[str, tuple[float, float]]) -> float:
    return sizes[name][1] if name in sizes else BEND


def _heights(
    rows: Sequence[Sequence[str]],
    chains: Mapping[tuple[str, str], tuple[str, ...]],
    sizes: Mapping[str, tuple[float, float]],
) -> dict[str, float]:
    """Return the vertical centre of each name: as near to its neighbours as there is room."""
    left, right = _links(chains)
    ys: dict[str, float] = {}
    for row in rows:
        at = 0.0
        for name in row:
            tall = _height(name, sizes)
            ys[name] = at + tall / 2
            at += tall + GAP_Y
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 else reversed(rows):
            wanted = []
            for name in row:
                near = [*left.get(name, ()), *right.get(name, ())]
                wanted.append(sum(ys[other] for other in near) / len(near) if near else ys[name])
            ys.update(zip(row, _spread(row, wanted, sizes), strict=True))
    return ys


def _spread(
    row: Sequence[str], wanted: Sequence[float], sizes: Mapping[str, tuple[float, float]]
) -> list[float]:
    """Return positions near the wanted ones that do not overlap. Blocks that collide move as one."""
    offsets: list[float] = []
    at = 0.0
    for name in row:
        tall = _height(name, sizes)
        offsets.append(at + tall / 2)
        at += tall + GAP_Y
    blocks: list[list[float]] = []  # mean of (wanted - offset), count
    for want, offset in zip(wanted, offsets, strict=True):
        blocks.append([want - offset, 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, count = blocks.pop()
            other = blocks[-1]
            other[0] = (other[0] * other[1] + mean * count) / (other[1] + count)
            other[1] += count
    placed: list[float] = []
    index = 0
    for mean, count in blocks:
        for _ in range(int(count)):
            placed.append(mean + offsets[index])
            index += 1
    return placed
