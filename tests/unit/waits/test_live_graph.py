"""The live graph: what is read of a host, and that a load refuses by it."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from eventd.desired.model import Desired, Workload, WorkloadOptions
from eventd.kernel.model.errors import DisconnectedError, PermanentError, TemporaryError
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.model.located import Located
from eventd.platform.model_facts import Account, ActiveState, LoadState, PlatformFact, UnitState
from eventd.platform.sock_diag import OpenPort, Owner
from eventd.platform.systemd.model_live_unit import LiveUnit
from eventd.waits import adapter_live_graph as live_graph
from eventd.waits.adapter_live_graph import LiveGraphReader, hostnames
from eventd.waits.model_units import Listener


@dataclass
class Units:
    """A manager that has some units loaded."""

    after: dict[str, tuple[str, ...]]
    read: list[str] = field(default_factory=list)
    error: Exception | None = None

    async def __call__(self, name: str) -> LiveUnit:
        self.read.append(name)
        if self.error is not None:
            raise self.error
        if name not in self.after:
            raise PermanentError("gone", reason="no-such-unit")
        return LiveUnit(name, {"After": self.after[name]})

    def facts(self) -> Facts:
        facts = Facts()
        for name in self.after:
            facts.set(
                FactKey(PlatformFact.UNIT, name),
                UnitState(name, load=LoadState.LOADED, active=ActiveState.ACTIVE),
            )
        facts.set(FactKey(PlatformFact.ACCOUNT, "web"), Account("web", 1001, 1001, "/home/web"))
        return facts


def desired(*requires: str) -> Desired:
    """Return a repository of one workload, `web`."""
    options = WorkloadOptions(requires=tuple(Located(text, "workload.toml", 1) for text in requires))
    return Desired("c" * 40, workloads={"web": Workload("web", (), (), options)})


@pytest.fixture(autouse=True)
def ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel with three ports open."""
    rows = (
        OpenPort("::", 80, Owner("proxy.service")),
        OpenPort("127.0.0.1", 8080, Owner("web.service", 1001)),
        OpenPort("::", 9000, Owner("toy.service", 1002)),
    )
    monkeypatch.setattr(live_graph, "open_ports", lambda: rows)


async def test_what_a_gate_asks_for_is_read_with_all_that_it_waits_for() -> None:
    """Each unit once, cycles or not; what nobody asks about and what is not loaded is left alone."""
    units = Units(
        {
            "a.target": ("b.service", "not-loaded.service"),
            "b.service": ("a.target", "srv.mount"),
            "srv.mount": (),
            "eventd.service": (),
            "own.socket": (),
            "proxy.service": (),
            "other.service": (),
        }
    )
    found = await LiveGraphReader(units.facts(), units).read(desired("unit:a.target", "mount:/srv"))
    wanted = {"a.target", "b.service", "srv.mount", "eventd.service", "own.socket", "proxy.service"}
    assert {unit.name for unit in found.units} == wanted
    assert sorted(units.read) == sorted(wanted)


async def test_listeners_are_the_systems_units_and_workloads() -> None:
    """A port that a user opens who is no workload concerns no gate."""
    units = Units({"eventd.service": (), "proxy.service": ()})
    found = await LiveGraphReader(units.facts(), units).read(desired())
    assert found.listeners == (
        Listener("::", 80, "proxy.service"),
        Listener("127.0.0.1", 8080, "web.service", "web"),
    )


async def test_units_are_read_where_listeners_cannot_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A kernel that does not answer is logged; the units still count."""

    def broken() -> tuple[OpenPort, ...]:
        raise TemporaryError("no", reason="sock-diag")

    monkeypatch.setattr(live_graph, "open_ports", broken)
    units = Units({"eventd.service": ()})
    found = await LiveGraphReader(units.facts(), units).read(desired())
    assert [unit.name for unit in found.units] == ["eventd.service"]
    assert found.listeners == ()
    assert "cannot read the listening sockets" in caplog.text


async def test_a_lost_connection_is_told() -> None:
    """Half a graph would be taken for a whole one."""
    units = Units({"eventd.service": ()}, error=DisconnectedError("lost"))
    with pytest.raises(DisconnectedError):
        await LiveGraphReader(units.facts(), units).read(desired())


def test_a_host_is_known_by_its_names_in_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """hosts(5) has the full name beside the short one; other hosts in it are others."""
    monkeypatch.setattr("os.uname", lambda: SimpleNamespace(nodename="Box"))
    path = tmp_path / "hosts"
    path.write_text(
        "127.0.0.1 localhost\n127.0.1.1 box.example.org box # me\n10.0.0.9 other.example.org other\n"
    )
    assert hostnames(str(path)) == {"box", "box.example.org"}
    assert hostnames(str(tmp_path / "none")) == {"box"}
