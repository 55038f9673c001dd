"""The picture of the wait graph: well-formed, nothing on top of another, what is circular marked, text escaped."""

import re
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventd.waits.model_build import desired_graph
from eventd.waits.model_cycles import cycles
from eventd.waits.model_document import document, relevant
from eventd.waits.model_layout import GAP_X, lay_out
from eventd.waits.model_svg import draw
from eventd.waits.model_units import LiveGraph
from tests.unit.boot.letters import width
from tests.unit.desired.trees import desired
from tests.unit.waits.waitgraphs import ONESHOT, graph, wait

SVG = "{http://www.w3.org/2000/svg}"
SERVER = f"[Unit]\nAfter=gate.service\n{ONESHOT}"


def picture(files: dict[str, str], waits: str = "", title: str = "alpha") -> ET.Element:
    made = graph(files, waits)
    found = cycles(made)
    text = draw(document(relevant(made, found), found), title)
    return ET.fromstring(text)


def classes(root: ET.Element, shape: str) -> list[str]:
    return [
        str(group.get("class"))
        for group in root.iter(f"{SVG}g")
        if any(child.get("class") == shape for child in group)
    ]


def test_a_circle_is_marked():
    """The boxes and arrows of the circle are in the class that is drawn in red; others are not."""
    files = {"gate.service": ONESHOT, "server.service": SERVER, "other.service": SERVER}
    root = picture(files, wait("gate.service", "https://ci.example.org/", "server.service"))
    assert sorted(classes(root, "box")) == ["answer bad", "unit", "unit bad", "unit bad"]
    assert sorted(kind for kind in classes(root, "edge") if "bad" in kind) == [
        "order bad",
        "served bad",
        "wait bad",
    ]
    assert "1 circular wait: gate.service waits for itself" in root.findtext(f"{SVG}desc", "")


def test_what_is_not_circular_is_not_marked():
    """A clean graph says so and has no red in it."""
    root = picture({"gate.service": ONESHOT}, wait("gate.service", "https://ci.example.org/", "gate.service"))
    assert not [kind for kind in classes(root, "box") if "bad" in kind]
    assert root.findtext(f"{SVG}desc") == "no wait is circular"


def test_every_arrow_tells_why():
    """The tooltip of an arrow is the sentence of its edge."""
    root = picture({"gate.service": ONESHOT, "server.service": SERVER})
    (why,) = [
        group.findtext(f"{SVG}title") for group in root.iter(f"{SVG}g") if group.get("class") == "order"
    ]
    assert why == (
        "server.service is not started before gate.service has finished starting"
        " (After=gate.service in units/server.service:2)"
    )


PAGE = {
    "workloads/blog/blog.container": "[Container]\nImage=x\nPublishPort=8080:80\n",
    "workloads/blog/workload.toml": (
        'requires = ["mount:/srv/photos"]\n[health]\nexpect = ["http://127.0.0.1:8080/ping"]\n'
    ),
}
GATES = [
    {"workload": "blog", "kind": "requires", "holds": False, "missing": ["mount /srv/photos is not mounted"]},
    {"workload": "blog", "kind": "expect", "holds": True, "missing": []},
]


def page() -> ET.Element:
    made = desired_graph(desired(PAGE), LiveGraph())
    return ET.fromstring(draw({**document(relevant(made, ()), ()), "gates": GATES}, "Who waits for whom"))


def test_a_gate_says_whether_it_is_open_or_shut():
    """By a word and by its colour, with what is missing in the tooltip; in words that the repository's files have."""
    root = page()
    boxes = {
        group.get("class", ""): [text.text for text in group.iter(f"{SVG}text")]
        for group in root.iter(f"{SVG}g")
    }
    assert boxes["gate shut"] == ["gate, shut", "blog starts when"]
    assert boxes["gate open"] == ["gate, open", "blog is healthy when"]
    (shut,) = [g.findtext(f"{SVG}title") for g in root.iter(f"{SVG}g") if g.get("class") == "gate shut"]
    assert shut == "blog starts when; mount /srv/photos is not mounted"
    assert root.findtext(f"{SVG}desc") == "no wait is circular; 1 of 2 gates is shut"


def test_a_workload_and_its_unit_are_joined_by_one_line_without_a_tip():
    """An arrow means waiting; that a unit belongs to a workload is no wait in either direction."""
    parts = [group for group in page().iter(f"{SVG}g") if group.get("class") == "part"]
    assert [group.findtext(f"{SVG}title") for group in parts] == [
        "blog.service of blog is a unit of workload blog"
    ]
    assert [child.get("class") for child in parts[0] if child.get("class")] == ["edge"]


def test_text_is_escaped():
    """What stands in a repository cannot break out of the picture, nor make it unreadable."""
    files = {"gate.service": ONESHOT}
    root = picture(files, wait("gate.service", "https://h/?a=<script>&b"), title='a <b> & "c"\x1b[31m')
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert "https://h/?a=<script>&b" in texts
    assert 'a <b> & "c"\N{REPLACEMENT CHARACTER}[31m' in texts
    assert not list(root.iter(f"{SVG}script"))


def test_a_long_label_is_cut_in_its_box_and_whole_in_its_tooltip():
    """The name of a URL may be as long as it likes."""
    url = "https://example.org/" + "x" * 100
    root = picture({"gate.service": ONESHOT}, wait("gate.service", url))
    assert url in [element.text for element in root.iter(f"{SVG}title")]
    assert (
        max(len(element.text or "") for element in root.iter(f"{SVG}text") if element.get("class") == "label")
        < 50
    )


@pytest.mark.parametrize("letter", ["m", "W", "i", "n", "-"])
def test_every_text_fits_where_it_stands(letter):
    """Labels and what they are in their boxes, verbs on their ground, title, state and legend on the page."""
    files = {f"{letter * n}.service": ONESHOT for n in range(1, 50, 6)}
    files["after.service"] = "[Unit]\n" + "".join(f"After={name}\n" for name in files) + ONESHOT
    name = f"{letter * 7}.service"
    root = picture(files, wait(name, "https://ci.example.org/", "after.service"), title=letter * 40)
    wide, boxes, verbs = float(root.get("width", "0")), 0, 0
    for group in root.iter(f"{SVG}g"):
        for box in group.findall(f"{SVG}rect"):
            for text in group.findall(f"{SVG}text"):
                assert text.get("text-anchor") == "middle"
                room = float(box.get("width", "0")) - 2 * INSIDE[str(box.get("class"))]
                assert measured(text) <= room, (text.text, measured(text), room)
                middle = float(box.get("x", "0")) + float(box.get("width", "0")) / 2
                assert abs(float(text.get("x", "0")) - middle) < 0.2
                boxes += text.get("class") == "label"
                verbs += text.get("class") == "verb"
    assert (
        boxes == len([g for g in root.iter(f"{SVG}g") if g.find(f"{SVG}rect[@class='box']") is not None]) > 3
    )
    assert verbs > 0
    lines = [text for text in root.findall(f"{SVG}text") if text.text]
    assert len(lines) == 3
    for text in lines:
        assert float(text.get("x", "0")) + measured(text) <= wide, text.text


def test_gates_fit_into_their_boxes():
    """What a gate is and how it is stands in bold."""
    seen = 0
    for group in page().iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect[@class='box']")
        for text in group.findall(f"{SVG}text") if box is not None else ():
            assert measured(text) <= float(box.get("width", "0")) - 2 * INSIDE["box"], text.text
            seen += 1
    assert seen >= 8


INSIDE = {"box": 8.0, "halo": 0.0}
"""Pixels that have to stay free at each side."""


def measured(text: ET.Element) -> float:
    """Return how wide a text is, by the style sheet's fonts and sizes."""
    kind = text.get("class")
    size = {"label": 12.0, "title": 15.0}.get(str(kind), 11.0)
    return width(str(text.text), size, bold=kind in ("title", "word"), mono=kind == "label")


def test_an_empty_graph_is_a_picture_too():
    """Nothing to draw is no error."""
    assert picture({}).tag == f"{SVG}svg"


def test_an_ordering_that_follows_from_others_is_left_out():
    """Of c after b after a, that c comes after a as well needs no line of its own."""
    files = {
        "a.service": ONESHOT,
        "b.service": f"[Unit]\nAfter=a.service\n{ONESHOT}",
        "c.service": f"[Unit]\nAfter=a.service b.service\n{ONESHOT}",
    }
    assert classes(picture(files), "edge") == ["order", "order"]


def test_the_colours_follow_the_reader():
    """Light by default, dark where the reader says so; no colour is written at an element."""
    made = graph({"gate.service": ONESHOT, "server.service": SERVER})
    text = draw(document(made, ()), "alpha")
    assert "@media (prefers-color-scheme: dark)" in text
    assert not re.search(r'(fill|stroke)="#', text)


def test_units_that_concern_nobodys_waiting_are_left_out():
    """With a wait, only who takes part and who is next to them is shown; without one, what is ordered by hand."""
    files = {"gate.service": ONESHOT, "server.service": SERVER, "lonely.service": ONESHOT}
    files |= {f"far{n}.service": f"[Unit]\nAfter=far{n - 1}.service\n{ONESHOT}" for n in range(1, 3)}
    made = graph(files, wait("gate.service", "https://ci.example.org/", "server.service"))
    shown = relevant(made, cycles(made)).nodes
    assert set(shown) == {
        "unit:gate.service",
        "unit:server.service",
        "answer:https://ci.example.org/ by server.service",
    }
    assert "unit:far1.service" in relevant(graph(files), ()).nodes
    assert "unit:lonely.service" not in relevant(graph(files), ()).nodes


GRAPHS = st.integers(1, 12).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=25),
        st.lists(st.floats(40, 300), min_size=count, max_size=count),
    )
)


@given(GRAPHS)
def test_no_box_lies_on_another(made):
    """Whatever the graph, circular or not: boxes keep apart, all are within the picture, every edge has a way."""
    count, edges, widths = made
    sizes = {str(n): (widths[n], 44.0) for n in range(count)}
    layout = lay_out(sizes, [(str(a), str(b)) for a, b in edges])
    for (_, one), (_, other) in combinations(layout.boxes.items(), 2):
        apart_x = abs(one.x - other.x) - (one.width + other.width) / 2
        apart_y = abs(one.y - other.y) - (one.height + other.height) / 2
        assert apart_x >= GAP_X - 1e-6 or apart_y > 1
    for box in layout.boxes.values():
        assert box.x - box.width / 2 >= -1e-6
        assert box.x + box.width / 2 <= layout.width + 1e-6
        assert box.y - box.height / 2 >= -1e-6
        assert box.y + box.height / 2 <= layout.height + 1e-6
    assert set(layout.paths) == {(str(a), str(b)) for a, b in edges if a != b}


@pytest.mark.parametrize(("a", "b"), [("0", "1"), ("1", "0")])
def test_who_waits_stands_left_of_what_is_waited_for(a, b):
    """Arrows lead to the right, unless they close a circle."""
    layout = lay_out({"0": (50.0, 44.0), "1": (50.0, 44.0)}, [(a, b)])
    assert layout.boxes[a].x < layout.boxes[b].x
