"""Loading a revision: workloads that wait for themselves are refused, by the repository or by what the host runs."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from eventd.desired.controller_load import Loaded, Loader
from eventd.desired.model import Desired, Tree
from eventd.kernel.model.errors import DisconnectedError
from eventd.waits.model_units import Listener, LiveGraph
from tests.unit.waits.waitgraphs import desired

IMAGE = "[Container]\nImage=localhost/busybox:1\n"
CIRCLE = {
    "workloads/a/a.container": IMAGE,
    "workloads/a/workload.toml": 'requires = ["workload:b=healthy"]\n',
    "workloads/b/b.container": IMAGE,
    "workloads/b/workload.toml": 'requires = ["workload:a=active"]\n',
    "workloads/c/c.container": IMAGE,
    "workloads/c/workload.toml": 'requires = ["mount:/srv"]\n',
}
ASKS_A_PORT = {
    "workloads/a/a.container": IMAGE,
    "workloads/a/workload.toml": 'requires = ["tcp:127.0.0.1:8080"]\n',
}


@dataclass
class Live:
    """A host that can be read, or not."""

    graph: LiveGraph = field(default_factory=LiveGraph)
    error: DisconnectedError | None = None
    reads: int = 0

    async def __call__(self, _desired: Desired) -> LiveGraph:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return self.graph


async def load(files: dict[str, str], live: Live | None) -> Loaded:
    """Load these files on a host whose generator has no complaint."""

    async def tree(commit: str) -> Tree:
        return Tree(commit, {})

    async def dry_run(_files: Any) -> tuple[str, ...]:
        return ()

    async def assemble(_tree: Any) -> Desired:
        return desired(files)

    host: Any = SimpleNamespace(
        repository=SimpleNamespace(tree=tree), generator=SimpleNamespace(dry_run=dry_run)
    )
    return await Loader(host, assemble, live).load("c" * 40)


@pytest.mark.parametrize("live", [None, Live()])
async def test_the_circular_are_refused_and_the_others_stay(live: Live | None) -> None:
    """Their gates are nobody's concern any more; what they were is kept to be shown."""
    loaded = await load(CIRCLE, live)
    assert set(loaded.desired.workloads) == {"c"}
    assert {name: [d.code for d in found] for name, found in loaded.desired.refused.items()} == {
        "a": ["circular-wait"],
        "b": ["circular-wait"],
    }
    assert set(loaded.gates) == {"c"}
    assert set(loaded.circular) == {"a", "b"}


async def test_who_listens_on_the_host_decides() -> None:
    """A workload that requires a port which only it opens is refused once that is known."""
    assert not (await load(ASKS_A_PORT, Live())).circular
    live = Live(LiveGraph((), (Listener("::", 8080, "a.service", "a"),)))
    assert set((await load(ASKS_A_PORT, live)).circular) == {"a"}


async def test_a_host_that_cannot_be_read_stops_no_load(caplog: pytest.LogCaptureFixture) -> None:
    """The repository alone is looked at, and that is logged."""
    loaded = await load(CIRCLE, Live(error=DisconnectedError("no bus")))
    assert set(loaded.circular) == {"a", "b"}
    assert "no bus" in caplog.text


async def test_the_host_is_not_read_where_nothing_has_a_gate() -> None:
    """It costs a tenth of a second."""
    live = Live()
    assert not (await load({"workloads/a/a.container": IMAGE}, live)).circular
    assert live.reads == 0
