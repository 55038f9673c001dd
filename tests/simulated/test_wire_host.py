"""Scope: the simulated host on the wire, seen through eventd's own D-Bus adapters."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from eventd.kernel.model.errors import PermanentError
from eventd.platform.dbus.connection import Bus
from eventd.platform.model_facts import Account, ActiveState, LoadState
from eventd.platform.systemd.adapter_logind import Logind
from eventd.platform.systemd.adapter_systemd1 import SystemdManager
from eventd.platform.systemd.ports import Verb
from eventd_simulators.wire import FileAccounts, WireHost
from eventd_simulators.wire.control import Control

WEB = b"[Container]\nImage=web\n[Install]\nWantedBy=default.target\n"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a name that leaves room for sockets below it."""
    with tempfile.TemporaryDirectory(prefix="simhost-") as name:
        yield Path(name)


@pytest.fixture
async def host(folder: Path) -> AsyncIterator[WireHost]:
    async with WireHost(folder) as host:
        yield host


async def add(host: WireHost, name: str, **files: bytes) -> Account:
    account = host.accounts.add(name)
    folder = host.folder / f"etc/containers/systemd/users/{account.uid}"
    folder.mkdir(parents=True)
    for stem, content in files.items():
        (folder / f"{stem}.container").write_bytes(content)
    return account


async def subscribed(bus: Bus) -> SystemdManager:
    manager = SystemdManager(bus)
    await manager.attach()
    await manager.subscribe()
    return manager


async def start_manager(host: WireHost, account: Account) -> None:
    system = await subscribed(await Bus.connect(host.address))
    result = await system.job(Verb.START, f"user@{account.uid}.service", timeout=60)
    await system.bus.close()
    assert result.done


async def user_manager(host: WireHost, account: Account) -> SystemdManager:
    return await subscribed(await Bus.connect(host.user_address.format(uid=account.uid)))


async def test_a_manager_comes_up_with_the_units_of_its_files(host: WireHost) -> None:
    """user@UID.service becomes active, the user's bus listens, and WantedBy=default.target is started."""
    account = await add(host, "web", web=WEB)
    await start_manager(host, account)
    manager = await user_manager(host, account)
    result = await manager.job(Verb.START, "web.service", timeout=60)
    state = await manager.read_unit("web.service")
    await manager.bus.close()
    assert result.result == "done"
    assert (state.active, state.sub, state.file_state) == (ActiveState.ACTIVE, "running", "generated")
    assert state.source_path == f"{host.folder}/etc/containers/systemd/users/{account.uid}/web.container"
    assert state.invocation
    assert state.main_pid


async def test_a_failed_pull_ends_the_job_as_failed(host: WireHost) -> None:
    """An image that cannot be pulled: the job's result is failed, the unit's exit-code, its status 125."""
    account = await add(host, "web", web=b"[Container]\nImage=missing\n")
    await start_manager(host, account)
    manager = await user_manager(host, account)
    result = await manager.job(Verb.START, "web.service", timeout=60)
    state = await manager.read_unit("web.service")
    await manager.bus.close()
    assert result.result == "failed"
    assert (state.active, state.result, state.exec_status) == (ActiveState.FAILED, "exit-code", 125)


async def test_a_reload_loads_what_was_written(host: WireHost) -> None:
    """A unit whose file is new is not-found until the manager has reloaded."""
    account = await add(host, "web")
    await start_manager(host, account)
    manager = await user_manager(host, account)
    folder = host.folder / f"etc/containers/systemd/users/{account.uid}"
    (folder / "new.container").write_bytes(WEB)
    before = await manager.read_unit("new.service")
    with pytest.raises(PermanentError) as refused:
        await manager.job(Verb.START, "new.service", timeout=60)
    await manager.reload(timeout=60)
    after = await manager.read_unit("new.service")
    await manager.bus.close()
    assert before.load is LoadState.NOT_FOUND
    assert refused.value.reason == "no-such-unit"
    assert after.load is LoadState.LOADED


async def test_lingering_starts_the_manager_and_is_a_file(host: WireHost) -> None:
    """SetUserLinger makes the flag and brings the manager up; its session is not a person's."""
    account = await add(host, "web")
    bus = await Bus.connect(host.address)
    logind = Logind(bus)
    await logind.set_linger(account.uid, enable=True)
    result = await (await subscribed(bus)).job(Verb.START, f"user@{account.uid}.service", timeout=60)
    sessions = await logind.sessions()
    await bus.close()
    assert result.done
    assert (host.folder / "var/lib/systemd/linger/web").exists()
    assert [session.kind for session in sessions] == ["manager"]


async def test_stopping_the_manager_ends_its_bus(host: WireHost) -> None:
    """When user@UID.service is stopped, connections to the user's bus are lost and its socket is gone."""
    account = await add(host, "web", web=WEB)
    await start_manager(host, account)
    manager = await user_manager(host, account)
    lost = asyncio.Event()
    manager.bus.on_closed(lost.set)
    bus = await Bus.connect(host.address)
    await (await subscribed(bus)).job(Verb.STOP, f"user@{account.uid}.service", timeout=60)
    async with asyncio.timeout(60):
        await lost.wait()
    await bus.close()
    assert not (host.folder / f"run/user/{account.uid}/bus").exists()


async def test_a_reboot_brings_lingering_managers_back(host: WireHost) -> None:
    """Everything volatile is lost, and who lingers comes up again with new invocations."""
    account = await add(host, "web", web=WEB)
    host.model.logind.set_linger(account, enable=True)
    await start_manager(host, account)
    manager = await user_manager(host, account)
    await manager.job(Verb.START, "web.service", timeout=60)
    before = await manager.read_unit("web.service")
    await host.reboot()
    await manager.bus.close()
    await start_manager(host, account)
    manager = await user_manager(host, account)
    await manager.job(Verb.START, "web.service", timeout=60)
    after = await manager.read_unit("web.service")
    await manager.bus.close()
    assert after.active is ActiveState.ACTIVE
    assert after.invocation != before.invocation


async def test_control_stops_and_crashes_units(host: WireHost) -> None:
    """What the control interface does is what an adapter then sees."""
    account = await add(host, "web", web=WEB)
    await start_manager(host, account)
    manager = await user_manager(host, account)
    await manager.job(Verb.START, "web.service", timeout=60)
    async with Control(host.address) as control:
        await control.call("CrashUnit", "ssi", "web", "web.service", 3)
        await manager.job(Verb.STOP, "web.service", timeout=60)
        state = await manager.read_unit("web.service")
        status = json.loads(await control.call("Status"))
    await manager.bus.close()
    assert (state.result, state.exec_status) == ("exit-code", 3)
    assert status["web"]["web.service"] == "failed/failed"


async def test_two_processes_share_the_accounts(tmp_path: Path) -> None:
    """Each creation gets its own ids, and an account that exists is refused."""
    one, other = FileAccounts(tmp_path), FileAccounts(tmp_path)
    made = await asyncio.gather(
        *(accounts.create(f"u{n}", timeout=60) for n, accounts in enumerate((one, other)))
    )
    with pytest.raises(PermanentError) as refused:
        await one.create("u1", timeout=60)
    assert refused.value.reason == "account-exists"
    assert len({account.uid for account in made}) == 2
    assert len({account.subuid for account in made}) == 2
    assert await other.lookup("u0") == made[0]


async def test_the_process_says_when_it_is_ready_and_leaves_nothing(folder: Path) -> None:
    """`python -m eventd_simulators.wire` prints its addresses, and ends its buses on SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "eventd_simulators.wire", "--dir", str(folder), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        told = json.loads(await process.stdout.readline())
        bus = await Bus.connect(told["system"])
        await bus.close()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    process._transport.close()  # type: ignore[attr-defined]
    assert not (folder / "run/dbus/system").exists()
