"""Scope: a podman store that no restart heals: found, offered, held, signed, reset, and the workload up again."""

from __future__ import annotations

import hashlib

import pytest

from eventd.approvals.model import State
from eventd.containers.model_podman_damage import REASON
from eventd.kernel.model.report import WorkloadState
from eventd.platform.model_facts import ActiveState
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container

SAID = "Error: beginning transaction: file is not a database"
DB = "/home/web/.local/share/containers/storage/db.sql"


async def damaged(story: Story, *, complaint: str = SAID) -> None:
    """Damage the store of a workload that runs, and let it crash."""
    await story.begin({**container("web"), **container("db")})
    unit = story.manager("web").units["web.service"]
    story.world.registry.complaints["web"] = complaint
    story.world.model.behaviours.set("web", "web.service", start_status=125)
    unit.journal(SAID)
    unit.exit(9)  # type: ignore[attr-defined]
    await story.quiet(5)


@virtual()
async def test_a_damaged_store_is_named_and_its_reset_is_held_until_it_is_signed() -> None:
    """The request says what goes and what stays; nothing is done without it, the other workload goes on."""
    story = Story()
    await damaged(story)
    status = story.status("web")
    assert (status.state, status.reason) == (WorkloadState.FAILED, REASON)
    assert "podman's database is damaged" in status.message
    assert "the data of all volumes" in status.hint
    assert story.status("store:web").state is WorkloadState.HELD
    assert story.status("db").state is WorkloadState.CONVERGED
    (request,) = story.engine.approvals.requests.rows.values()
    assert request.state is State.REQUESTED
    assert request.resources == (
        f"file {DB} of account web uid {story.world.model.accounts.get('web').uid} home /home/web",
    )  # type: ignore[union-attr]
    assert "gone are podman's records" in request.plan[0].does
    assert "what stays is the data of all volumes" in request.plan[0].does
    await story.quiet(300)
    assert story.world.registry.set_aside == []
    story.world.model.behaviours.set("web", "web.service", start_status=0)
    document = request.document.encode()
    digest = hashlib.sha256(document).hexdigest()
    await story.engine.approvals.accept(document, f"alice {digest}".encode(), "socket")
    await story.quiet(60)
    ((name, path, aside),) = story.world.registry.set_aside
    assert (name, path) == ("web", DB)
    assert aside.startswith(f"{DB}.damaged-")
    assert story.status("web").state is WorkloadState.CONVERGED
    assert story.unit("web").active is ActiveState.ACTIVE
    assert "store:web" not in story.engine.statuses
    assert [each.state for each in story.engine.approvals.requests.rows.values()] == [State.DONE]


@virtual()
async def test_a_workload_that_comes_up_by_itself_withdraws_the_request() -> None:
    """Somebody has mended it by hand: nothing is asked for any more, and an old signature does nothing."""
    story = Story()
    await damaged(story)
    story.world.registry.complaints.clear()
    story.world.model.behaviours.set("web", "web.service", start_status=0)
    await story.quiet(600)
    assert story.status("web").state is WorkloadState.CONVERGED
    assert [each.state for each in story.engine.approvals.requests.rows.values()] == [State.WITHDRAWN]
    assert story.world.registry.set_aside == []


@pytest.mark.parametrize(
    "complaint",
    ["", 'Error: configure storage: loading "/etc/shadow": decode slice'],
    ids=["fine", "elsewhere"],
)
@virtual()
async def test_what_a_workload_prints_offers_no_reset(complaint: str) -> None:
    """Its log may say anything: podman is asked, and only what it says of its own store counts."""
    story = Story()
    await damaged(story, complaint=complaint)
    assert story.status("web").state is WorkloadState.FAILED
    assert story.status("web").reason == "start-failed"
    assert not story.engine.approvals.requests.rows
