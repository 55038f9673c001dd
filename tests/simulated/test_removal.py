"""Removal: data stays until the repository and an operator have both said that it goes, and then it goes once."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from eventd.approvals.model import Request, State
from eventd.approvals.model_events import ApprovalEvent
from eventd.desired.model import RemoveData
from eventd.kernel.model.errors import EventdError
from eventd.kernel.model.report import RunResult, WorkloadState
from eventd_simulators.faults import Faults
from eventd_simulators.virtual_time import run
from tests.simulated.daemon import Story, container

GONE = {"README": "nothing\n"}
DELETE = '[remove]\ndata = "delete"\n'
SUBJECT = "deletion:web"


def web(*, delete: bool = False, note: str = "") -> dict[str, str | bytes]:
    """Return the files of the workload web."""
    files = container("web", more=f"Environment=NOTE={note}" if note else "")
    return {**files, "workloads/web/workload.toml": DELETE} if delete else files


async def deployed(*, delete: bool = True, faults: Faults | None = None) -> Story:
    """Return a story in which web runs and has written to its home."""
    told = Story(faults)
    await told.begin(web(delete=delete), 300)
    assert told.status("web").state is WorkloadState.CONVERGED
    told.world.homes["web"] = 1
    return told


def signed(request: Request, signer: str = "alice") -> bytes:
    """Return what the story takes for a signature."""
    return f"{signer} {hashlib.sha256(request.document.encode()).hexdigest()}".encode()


def requests(told: Story) -> list[Request]:
    """Return all requests, oldest first."""
    return sorted(told.engine.approvals.requests.rows.values(), key=lambda r: (r.created, r.id))


async def approve(told: Story, request: Request) -> None:
    """Sign a request."""
    await told.engine.approvals.accept(request.document.encode(), signed(request), "socket")


def deletions(told: Story) -> list[str]:
    """Return what was destroyed, over all lives."""
    return [c for life in told.lives for c in life.life.calls if c.startswith(("userdel", "discard-home"))]


def test_a_workload_removed_and_put_back_keeps_its_data() -> None:
    """Its account stays, it is listed as retained, and the same account is used again."""

    async def story() -> None:
        told = await deployed(delete=False)
        uid = told.world.model.accounts.get("web")
        told.push(GONE)
        await told.quiet()
        assert told.status("web").state is WorkloadState.REMOVED
        removal = told.engine.inventory.removals.get("web")
        assert removal is not None
        assert removal.since > 0
        assert not requests(told)
        told.push(web())
        await told.quiet()
        assert told.status("web").state is WorkloadState.CONVERGED
        assert told.world.model.accounts.get("web") == uid
        assert told.world.homes == {"web": 1}
        assert told.engine.inventory.removals.get("web") is None
        assert not deletions(told)

    run(story(), limit=60 * 86400)


def test_a_deletion_waits_for_its_signature_and_then_happens_once() -> None:
    """It is held as a subject of its own, with one request; after it nothing of the account is left."""

    async def story() -> None:
        told = await deployed()
        told.push(GONE)
        await told.quiet()
        (request,) = requests(told)
        assert request.resources == ("account web uid 1001 home /home/web made by run 1",)
        assert told.status(SUBJECT).state is WorkloadState.HELD
        assert told.status(SUBJECT).reason == "needs-approval"
        assert request.id in told.status(SUBJECT).hint
        assert told.world.homes == {"web": 1}
        await told.quiet(100_000)
        assert requests(told) == [request]
        await approve(told, request)
        await told.quiet()
        last = told.engine.queries.last_run
        assert last is not None
        assert ApprovalEvent.APPROVAL_CHANGED in {each.kind for each in last.triggers}, (
            "a run says why it was made"
        )
        assert deletions(told) == ["discard-home web", "userdel web"]
        assert told.world.model.accounts.get("web") is None
        assert not told.world.model.logind.is_lingering("web")
        assert not told.world.disk.records.workloads
        assert told.engine.inventory.removals.get("web") is None
        assert not told.engine.statuses
        (request,) = requests(told)
        assert request.state is State.DONE
        assert (request.signer, request.run > 1) == ("alice", True)
        report = await told.sync()
        assert report is not None
        assert report.result is RunResult.OK
        assert deletions(told) == ["discard-home web", "userdel web"]

    run(story(), limit=60 * 86400)


def test_a_replayed_approval_approves_nothing() -> None:
    """Not the same again, and not the next deletion of an account of that name: it is refused and recorded."""

    async def story() -> None:
        told = await deployed()
        told.push(GONE)
        await told.quiet()
        (first,) = requests(told)
        await approve(told, first)
        await told.quiet()
        told.push(web(delete=True))
        await told.quiet()
        told.world.homes["web"] = 2
        told.push(GONE)
        await told.quiet()
        second = requests(told)[-1]
        assert second.state is State.REQUESTED
        assert second.key != first.key
        with pytest.raises(EventdError, match="used already") as refused:
            await approve(told, first)
        assert refused.value.reason == "already-used"
        with pytest.raises(EventdError) as refused:
            await told.engine.approvals.accept(second.document.encode(), signed(first), "socket")
        assert refused.value.reason == "bad-signature"
        await told.quiet()
        assert told.world.homes == {"web": 2}
        assert [a.reason for a in told.engine.approvals.attempts.latest()] == [
            "bad-signature",
            "already-used",
        ]

    run(story(), limit=60 * 86400)


def test_a_workload_put_back_withdraws_the_request_and_uses_its_data_again() -> None:
    """A signature that comes after it counts for nothing."""

    async def story() -> None:
        told = await deployed()
        told.push(GONE)
        await told.quiet()
        (request,) = requests(told)
        told.push(web(delete=True))
        await told.quiet()
        assert requests(told)[0].state is State.WITHDRAWN
        with pytest.raises(EventdError) as refused:
            await approve(told, request)
        assert refused.value.reason == "withdrawn"
        assert told.status("web").state is WorkloadState.CONVERGED
        assert SUBJECT not in told.engine.removals.names()
        assert told.world.homes == {"web": 1}
        await told.assert_converged()

    run(story(), limit=60 * 86400)


def test_a_request_that_expires_is_made_again_and_the_old_one_counts_for_nothing() -> None:
    """Also one that was signed and never used."""

    async def story() -> None:
        told = await deployed()
        told.push(GONE)
        await told.quiet()
        (first,) = requests(told)
        await told.quiet(8 * 86400)
        old, new = requests(told)
        assert (old.state, new.state) == (State.EXPIRED, State.REQUESTED)
        assert new.id in told.status(SUBJECT).hint
        with pytest.raises(EventdError) as refused:
            await approve(told, first)
        assert refused.value.reason == "expired"
        assert not deletions(told)

    run(story(), limit=60 * 86400)


def test_a_rejected_deletion_is_not_asked_for_again_until_the_rejection_is_taken_back() -> None:
    """The host is as wanted meanwhile: the account stays, as the operator said."""

    async def story() -> None:
        told = await deployed()
        told.push(GONE)
        await told.quiet()
        (request,) = requests(told)
        await told.engine.approvals.reject(request.id, "uid 0")
        await told.quiet(10 * 86400)
        assert [r.state for r in requests(told)] == [State.REJECTED]
        report = await told.sync()
        assert report is not None
        assert report.result is RunResult.OK
        assert told.status(SUBJECT).state is WorkloadState.CONVERGED
        with pytest.raises(EventdError) as refused:
            await approve(told, request)
        assert refused.value.reason == "rejected"
        await told.engine.approvals.renew(request.id)
        await told.quiet()
        assert [r.state for r in requests(told)] == [State.WITHDRAWN, State.REQUESTED]

    run(story(), limit=60 * 86400)


def test_root_may_ask_for_a_deletion_that_the_repository_did_not_ask_for() -> None:
    """And it waits for the same signature; saying `keep` takes it back."""

    async def story() -> None:
        told = await deployed(delete=False)
        with pytest.raises(EventdError) as refused:
            await told.engine.removals.ask("web", RemoveData.DELETE)
        assert refused.value.reason == "still-wanted"
        told.push(GONE)
        await told.quiet()
        await told.engine.removals.ask("web", RemoveData.DELETE)
        await told.quiet()
        (request,) = requests(told)
        await told.engine.removals.ask("web", RemoveData.KEEP)
        await told.quiet()
        assert requests(told)[0].state is State.WITHDRAWN
        await told.engine.removals.ask("web", RemoveData.DELETE)
        await told.quiet()
        request = requests(told)[-1]
        await approve(told, request)
        await told.quiet()
        assert deletions(told) == ["discard-home web", "userdel web"]

    run(story(), limit=60 * 86400)


def test_the_wish_is_remembered_across_restarts_and_a_lost_home_of_another_is_not_touched() -> None:
    """`workload.toml` is gone with the workload; a person's account of the same name in its place is left alone."""

    async def story() -> None:
        told = await deployed()
        await told.kill()
        told.world.remote.push(GONE)
        await told.start()
        await told.quiet()
        (request,) = requests(told)
        await approve(told, request)
        await told.kill()
        told.world.model.accounts.remove("web")
        told.world.model.accounts.add("web", shell="/bin/bash")
        await told.start()
        await told.quiet()
        assert not deletions(told)
        assert told.world.homes == {"web": 1}

    run(story(), limit=60 * 86400)


def test_a_crash_at_any_point_of_a_deletion_ends_in_one_deletion_under_one_approval() -> None:
    """Kill -9 at every boundary between the signature and the end: nothing is asked for a second time."""

    async def one(at: int) -> bool:
        told = await deployed()
        told.push(GONE)
        await told.quiet()
        (request,) = requests(told)
        life = told.host.life
        life.faults.crash_at = life.steps + at
        # The crash may hit the signature itself, which then never returns.
        signing = asyncio.ensure_future(approve(told, request))
        await told.quiet()
        signing.cancel()
        crashed, life.faults.crash_at = told.dead, None
        if crashed:
            await told.start()
            await told.quiet()
        found = requests(told)
        assert [r.id for r in found] == [request.id], at
        if found[0].state is State.REQUESTED:
            await approve(told, request)
            await told.quiet()
        assert told.world.model.accounts.get("web") is None, at
        assert not told.world.homes, at
        assert not told.world.disk.records.workloads, at
        assert requests(told)[0].state is State.DONE, at
        assert not told.world.disk.steps, at
        told.push(web())
        await told.quiet()
        await told.assert_converged()
        return crashed

    at = 1
    while run(one(at)):
        at += 1
    assert at > 15, f"only {at} boundaries"


def test_a_workload_that_comes_back_while_its_account_is_being_deleted_waits_and_starts_anew() -> None:
    """What has begun is finished under its approval; then the workload gets a new account."""

    async def story() -> None:
        told = await deployed()
        told.push(GONE)
        await told.quiet()
        (request,) = requests(told)
        life = told.host.life

        def crash_after(what: str) -> None:
            if what in life.calls:
                life.kill()

        told.engine.steps.subscribe("test", lambda _step: crash_after("discard-home web"))
        await approve(told, request)
        await told.quiet()
        assert told.dead
        assert told.world.model.accounts.get("web") is not None
        told.world.remote.push(web())
        await told.start()
        await told.quiet()
        assert told.world.model.accounts.get("web") is not None
        assert deletions(told) == ["discard-home web", "userdel web"]
        await told.assert_converged()
        assert requests(told)[0].state is State.DONE

    run(story(), limit=60 * 86400)


def test_a_changed_plan_is_not_what_was_signed() -> None:
    """The account got another home meanwhile: there is a new request, and the old one is withdrawn."""

    async def story() -> None:
        told = await deployed()
        told.push(GONE)
        await told.quiet()
        (request,) = requests(told)
        told.change_account("web", home="/srv/web")
        await told.quiet()
        with pytest.raises(EventdError) as refused:
            await approve(told, request)
        assert refused.value.reason == "withdrawn"
        await told.quiet()
        assert not deletions(told)
        assert [r.resources for r in requests(told) if r.state is State.REQUESTED] == [
            ("account web uid 1001 home /srv/web made by run 1",)
        ]

    run(story(), limit=60 * 86400)
