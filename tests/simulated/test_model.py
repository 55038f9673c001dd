"""Scope: the model's facts of systemd, logind and Quadlet that the recorded trace does not hold."""

from __future__ import annotations

import asyncio

import pytest

from eventd.platform.model_facts import Account, ActiveState, LoadState
from eventd_simulators.model import signals
from eventd_simulators.model.host import HostModel
from eventd_simulators.model.manager import Manager, RefusedError
from eventd_simulators.virtual_time import virtual

INSTALL = "[Install]\nWantedBy=default.target\n"
WEB = f"[Container]\nImage=web\n{INSTALL}"


class Machine:
    """A booted host with one lingering user, and what it said."""

    def __init__(self, *, online: bool = True, **files: str) -> None:
        self.host = HostModel(asyncio.get_running_loop(), online=online)
        self.said: list[signals.Signal] = []
        self.host.hub.listen(self.said.append)
        self.host.boot()
        self.account: Account = self.host.accounts.add("web")
        self.folder = f"/etc/containers/systemd/users/{self.account.uid}"
        for name, text in files.items():
            self.put(name.replace("__", ".d/50.").replace("_", "."), text)

    def put(self, name: str, text: str) -> None:
        self.host.tree.put(f"{self.folder}/{name}", text)  # type: ignore[attr-defined]

    async def up(self) -> Manager:
        """Start the user's manager and let it settle."""
        self.host.logind.set_linger(self.account, enable=True)
        await asyncio.sleep(1)
        return self.host.managers["web"]

    def results(self, unit: str) -> list[str]:
        return [s.result for s in self.said if isinstance(s, signals.JobRemoved) and s.unit == unit]


@virtual()
async def test_a_manager_is_active_before_its_units_are() -> None:
    """READY=1 comes at basic.target, so user@UID.service is active while default.target is being reached."""
    machine = Machine(web_container=WEB)
    machine.host.behaviours.set("web", "web.service", start=30.0)
    manager = await machine.up()
    assert machine.host.system.units[f"user@{machine.account.uid}.service"].active is ActiveState.ACTIVE
    assert manager.units["web.service"].active is ActiveState.ACTIVATING
    assert manager.units["default.target"].active is ActiveState.INACTIVE


@virtual()
async def test_an_empty_wanted_by_in_a_drop_in_takes_it_out_of_the_boot() -> None:
    """The generator merges drop-ins, and an empty assignment resets: it is loaded, and not started."""
    machine = Machine(web_container=WEB)
    machine.put("web.container.d/50-eventd.conf", "[Install]\nWantedBy=\n")
    manager = await machine.up()
    assert manager.peek("web.service").active is ActiveState.INACTIVE
    assert manager.peek("web.service").load is LoadState.LOADED


@virtual()
async def test_generated_units_wait_for_the_network_up_to_90_s() -> None:
    """Offline, podman's wait unit polls 90 s, then the container starts all the same (it is only wanted)."""
    machine = Machine(online=False, web_container=WEB)
    manager = await machine.up()
    await asyncio.sleep(60)
    assert manager.units["web.service"].active is ActiveState.INACTIVE
    await asyncio.sleep(40)
    assert manager.units["web.service"].active is ActiveState.ACTIVE


@virtual()
async def test_without_default_dependencies_nothing_waits_for_the_network() -> None:
    """`[Quadlet] DefaultDependencies=false` takes the wait away."""
    machine = Machine(online=False, web_container=f"{WEB}[Quadlet]\nDefaultDependencies=false\n")
    manager = await machine.up()
    assert manager.units["web.service"].active is ActiveState.ACTIVE


@virtual()
async def test_a_unit_file_in_the_home_shadows_a_generated_one() -> None:
    """~/.config/systemd/user comes before Quadlet's folder, and after the early one, where companions are."""
    machine = Machine(web_container=WEB)
    tree, home = machine.host.tree, f"{machine.account.home}/.config/systemd/user"
    tree.put(f"{home}/web.service", "[Service]\nExecStart=evil\n")  # type: ignore[attr-defined]
    tree.put(f"{home}/job.service", "[Service]\nExecStart=evil\n")  # type: ignore[attr-defined]
    tree.put(f"/etc/eventd/units/{machine.account.uid}/job.service", "[Service]\nExecStart=job\n")  # type: ignore[attr-defined]
    manager = await machine.up()
    assert manager.peek("web.service").fragment_path == f"{home}/web.service"
    assert manager.peek("job.service").fragment_path.endswith("/systemd/generator.early/job.service")
    assert manager.peek("job.service").source_path == f"/etc/eventd/units/{machine.account.uid}/job.service"


@virtual()
async def test_a_drop_in_in_the_home_is_told_and_needs_a_reload() -> None:
    """A stray drop-in: NeedDaemonReload first, in DropInPaths after the reload."""
    machine = Machine(web_container=WEB)
    manager = await machine.up()
    path = f"{machine.account.home}/.config/systemd/user/web.service.d/evil.conf"
    machine.host.tree.put(path, "[Service]\nEnvironment=A=1\n")  # type: ignore[attr-defined]
    assert manager.peek("web.service").needs_reload
    manager.reload()
    await asyncio.sleep(1)
    assert manager.peek("web.service").drop_ins == (path,)
    assert not manager.peek("web.service").needs_reload


@virtual()
async def test_two_starts_are_one_job_and_a_stop_cancels_it() -> None:
    """The second start merges into the first; the stop ends it as `canceled`, and leaves the unit down."""
    machine = Machine(web_container="[Container]\nImage=web\n")
    machine.host.behaviours.set("web", "web.service", start=10.0)
    manager = await machine.up()
    first, second = manager.start("web.service"), manager.start("web.service")
    assert first is second
    await asyncio.sleep(1)
    manager.stop("web.service")
    await asyncio.sleep(5)
    assert machine.results("web.service") == ["canceled", "done"]
    assert manager.peek("web.service").active is ActiveState.INACTIVE


@virtual()
async def test_a_start_during_the_restart_pause_joins_the_automatic_one() -> None:
    """Systemd keeps the job waiting until its own restart comes, and both end as one."""
    machine = Machine(web_container="[Container]\nImage=web\n[Service]\nRestart=always\nRestartSec=20\n")
    manager = await machine.up()
    manager.start("web.service")
    await asyncio.sleep(1)
    unit = manager.units["web.service"]
    unit.exit(1)  # type: ignore[attr-defined]
    await asyncio.sleep(1)
    assert unit.sub == "auto-restart"
    manager.start("web.service")
    await asyncio.sleep(10)
    assert unit.sub == "auto-restart"
    await asyncio.sleep(15)
    assert unit.active is ActiveState.ACTIVE
    assert machine.results("web.service") == ["done", "done"]


@virtual()
async def test_a_failed_dependency_fails_what_requires_it() -> None:
    """The dependent's job ends with `dependency`, and the unit was never started."""
    machine = Machine(
        web_container="[Container]\nImage=web\nVolume=data.volume:/data\n", data_volume="[Volume]\n"
    )
    machine.host.behaviours.set("web", "data-volume.service", start_status=125)
    manager = await machine.up()
    manager.start("web.service")
    await asyncio.sleep(1)
    assert machine.results("web.service") == ["dependency"]
    assert not manager.peek("web.service").invocation


@virtual()
async def test_a_pod_starts_and_stops_its_containers() -> None:
    """Containers are bound to their pod, and the pod wants them."""
    machine = Machine(web_container="[Container]\nImage=web\nPod=p.pod\n", p_pod="[Pod]\n")
    manager = await machine.up()
    manager.start("p-pod.service")
    await asyncio.sleep(1)
    assert manager.peek("web.service").active is ActiveState.ACTIVE
    manager.stop("p-pod.service")
    await asyncio.sleep(1)
    assert manager.peek("web.service").active is ActiveState.INACTIVE


@virtual()
async def test_an_unhealthy_container_runs_into_the_start_timeout() -> None:
    """Notify=healthy and no passed check: `timeout` after 90 s; the job's result is `failed`."""
    machine = Machine(web_container="[Container]\nImage=unhealthy\nNotify=healthy\nHealthCmd=false\n")
    manager = await machine.up()
    manager.start("web.service")
    await asyncio.sleep(89)
    assert manager.peek("web.service").active is ActiveState.ACTIVATING
    await asyncio.sleep(5)
    assert machine.results("web.service") == ["failed"]
    assert manager.peek("web.service").result == "timeout"


@virtual()
async def test_a_user_without_lingering_or_session_is_stopped_after_ten_seconds() -> None:
    """Logind's UserStopDelaySec=; a person who is logged in keeps the manager."""
    machine = Machine(web_container=WEB)
    await machine.up()
    session = machine.host.logind.login(machine.account)
    machine.host.logind.set_linger(machine.account, enable=False)
    await asyncio.sleep(60)
    assert "web" in machine.host.managers
    machine.host.logind.logout(session.id)
    await asyncio.sleep(9)
    assert "web" in machine.host.managers
    await asyncio.sleep(3)
    assert "web" not in machine.host.managers
    assert any(isinstance(said, signals.UserRemoved) for said in machine.said)


@virtual()
async def test_a_reboot_forgets_everything_volatile() -> None:
    """Lingering managers come up by themselves, with new invocations; nothing else does."""
    machine = Machine(web_container=WEB, other_container="[Container]\nImage=web\n")
    manager = await machine.up()
    manager.start("other.service")
    await asyncio.sleep(1)
    before = manager.peek("web.service").invocation
    machine.host.reboot()
    await asyncio.sleep(5)
    manager = machine.host.managers["web"]
    assert manager.peek("web.service").active is ActiveState.ACTIVE
    assert manager.peek("web.service").invocation != before
    assert manager.peek("other.service").active is ActiveState.INACTIVE


@virtual()
async def test_a_masked_unit_is_refused() -> None:
    """An empty unit file masks; StartUnit says UnitMasked."""
    machine = Machine()
    path = f"/etc/eventd/units/{machine.account.uid}/job.service"
    machine.host.tree.put(path, "")  # type: ignore[attr-defined]
    manager = await machine.up()
    with pytest.raises(RefusedError) as refused:
        manager.start("job.service")
    assert refused.value.name == "UnitMasked"
