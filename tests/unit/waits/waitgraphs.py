"""Small wait graphs for tests: units and waits as text, the way `eventctl gates --units` would read them."""

import json
from collections.abc import Mapping
from pathlib import Path

from eventd.desired.model import Desired, Tree, TreeFile
from eventd.desired.model_assembly import HostRules, assemble
from eventd.waits.model_build import folder_graph
from eventd.waits.model_cycles import Cycle, cycles
from eventd.waits.model_declared import check_names, parse_waits
from eventd.waits.model_folder import TextFile, UnitFiles, read_catalogue
from eventd.waits.model_graph import Graph

FIXTURES = Path(__file__).parents[2] / "fixtures" / "units"
ONESHOT = "[Service]\nType=oneshot\nExecStart=/bin/true\n"
SIMPLE = "[Service]\nExecStart=/bin/true\n"


def units(files: Mapping[str, str], **more: object) -> UnitFiles:
    """Return files (and drop-ins, as `web.service.d/x.conf`) as they would be found in a folder."""
    drop_ins: dict[str, dict[str, TextFile]] = {}
    plain: dict[str, TextFile] = {}
    for name, text in files.items():
        folder, slash, base = name.partition("/")
        file = TextFile(f"units/{name}", text.encode())
        if slash:
            drop_ins.setdefault(folder.removesuffix(".d"), {})[base] = file
        else:
            plain[name] = file
    return UnitFiles(plain, drop_ins=drop_ins, **more)  # type: ignore[arg-type]


def graph(files: Mapping[str, str], waits: str = "", **more: object) -> Graph:
    """Return the wait graph of a folder."""
    read, mistakes = parse_waits(waits.encode())
    assert not mistakes, mistakes
    named = [place.text for wait in read for place in (wait.unit, *wait.served_by)]
    catalogue, _ = read_catalogue(units(files, **more), named)
    assert not check_names(read, catalogue.names())
    return folder_graph(catalogue, read)


def circles(files: Mapping[str, str], waits: str = "", **more: object) -> tuple[Cycle, ...]:
    """Return its cycles."""
    return cycles(graph(files, waits, **more))


def wait(unit: str, what: str, served_by: str = "", **more: str) -> str:
    """Return a `[[wait]]`."""
    lines = [f"unit = {json.dumps(unit)}", f"for = {json.dumps(what)}"]
    lines += [f"served_by = {json.dumps(served_by)}"] if served_by else []
    return "\n".join(["[[wait]]", *lines, *(f"{key} = {value}" for key, value in more.items()), ""])


def desired(files: Mapping[str, str]) -> Desired:
    """Return the desired state of a repository; none of its workloads may be refused."""
    tree = Tree("", {path: TreeFile(path, text.encode()) for path, text in files.items()})
    found = assemble(tree, HostRules("alpha"))
    assert not found.refused, found.refused
    return found
