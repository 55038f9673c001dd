"""Requests for signatures: canonical, good once, for one host and one plan, in their time; and kept across restarts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from eventd.approvals import controller as runtime
from eventd.approvals import controller_attempts as attempts
from eventd.approvals import model as approvals
from eventd.approvals.controller import Approvals
from eventd.approvals.controller_rules import Rules
from eventd.approvals.model import Draft, Planned, Request, State
from eventd.approvals.model_committed import Signed, committed
from eventd.approvals.model_events import ApprovalEvent
from eventd.approvals.model_facts import ApprovalFact, ApprovalState
from eventd.desired.model import Tree, TreeFile
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.model.facts import FactKey, FactValue
from eventd.state.adapter import StateStore
from eventd.state.adapter_database import Database
from tests.unit.kernel.recorder import Recorder

NOW = 1_800_000_000.0
DRAFT = Draft("deletion:web", (Planned("delete-account", "web", "deletes it"),), ("account web",), "it left")
KEY = FactKey(ApprovalFact.APPROVAL, DRAFT.key)
GOOD = b"-----BEGIN SSH SIGNATURE-----\nalice\n"


class Desk:
    """Approvals over a real database, with a clock that a test moves."""

    def __init__(self, path: Path, host: str = "a" * 32) -> None:
        self.path = path
        self.host = host
        self.now = NOW
        self.nonces = 0
        self.verified: list[bytes] = []
        self.emit = Recorder()
        self.kept: Approvals

    async def open(self) -> Approvals:
        """Begin a life."""
        self.emit = Recorder()
        store = StateStore(Database(str(self.path / "state.db")), inline=True)
        rules = Rules(self.host, "host", verify=self._verify, nonce=self._nonce)
        self.kept = Approvals(store, self.emit.facts, self.emit, rules, wall=lambda: self.now)
        await self.kept.load()
        return self.kept

    def _nonce(self) -> str:
        self.nonces += 1
        return f"{self.nonces:032x}"

    async def _verify(self, document: bytes, signature: bytes) -> str:
        await asyncio.sleep(0)
        self.verified.append(document)
        if signature != GOOD:
            raise PermanentError("the signature does not count", reason="bad-signature")
        return "alice"

    def fact(self) -> FactValue:
        """What the policy sees."""
        return self.emit.facts.get(KEY)

    async def refused(self, document: str, signature: bytes = GOOD) -> str:
        """Hand in a signature that is refused; return why."""
        with pytest.raises(EventdError) as error:
            await self.kept.accept(document.encode(), signature, "test")
        return error.value.reason


@pytest.fixture
async def desk(tmp_path: Path) -> Desk:
    """A desk that is open."""
    made = Desk(tmp_path)
    await made.open()
    return made


def test_a_document_has_one_form_that_names_host_plan_resources_and_times() -> None:
    """Its digest is over the bytes; the id is the beginning of it."""
    request = approvals.make(DRAFT, host="h", hostname="n", nonce="1", created=NOW, expires=NOW + 60)
    value = json.loads(request.document)
    assert value == {
        "version": 1,
        "host": "h",
        "hostname": "n",
        "subject": "deletion:web",
        "plan": [{"action": "delete-account", "target": "web", "does": "deletes it"}],
        "resources": ["account web"],
        "why": "it left",
        "created": "2027-01-15T08:00:00Z",
        "expires": "2027-01-15T08:01:00Z",
        "nonce": "1",
    }
    assert request.document == json.dumps(value, sort_keys=True, separators=(",", ":")) + "\n"
    assert request.digest.startswith(request.id)
    assert approvals.read(request.document.encode()).digest == request.digest


@pytest.mark.parametrize(
    "change",
    [
        {"subject": "deletion:db"},
        {"plan": (Planned("delete-account", "db", "deletes it"),)},
        {"resources": ("account web", "volume media")},
    ],
)
def test_what_is_done_to_what_makes_the_key(change: dict[str, object]) -> None:
    """Why does not: the same deed for another reason is the same deed."""
    assert replace(DRAFT, **change).key != DRAFT.key  # type: ignore[arg-type]
    assert replace(DRAFT, why="another").key == DRAFT.key


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"version":2}',
        b'{"version":1,"host":1,"subject":"","created":"","expires":"","nonce":""}',
        b'{"version": 1, "host":"","subject":"","created":"","expires":"","nonce":""}\n',
        b" " * (approvals.MAX_DOCUMENT + 1),
    ],
)
def test_what_is_no_document_is_malformed(content: bytes) -> None:
    """Also one whose blanks were changed."""
    with pytest.raises(PermanentError) as error:
        approvals.read(content)
    assert error.value.reason == "malformed-approval"


async def test_a_plan_is_asked_for_once_approved_spent_and_done(desk: Desk) -> None:
    """The fact follows: nobody asked, asked, approved until it is done."""
    assert desk.fact() is None
    request = await desk.kept.register(DRAFT)
    assert await desk.kept.register(DRAFT) == request
    assert desk.fact() == ApprovalState(request.id)
    await desk.kept.accept(request.document.encode(), GOOD, "test")
    assert desk.fact() == ApprovalState(request.id, approved=True)
    spent = await desk.kept.spend(DRAFT.key, 7, 9)
    assert (spent.state, spent.run, spent.step, spent.signer) == (State.SPENT, 7, 9, "alice")
    await desk.open()
    assert desk.fact() == ApprovalState(request.id, approved=True)
    await desk.kept.spend(DRAFT.key, 8, 12)
    await desk.kept.done(DRAFT.key)
    assert desk.fact() is None
    assert await desk.refused(request.document) == "already-used"
    with pytest.raises(EventdError) as error:
        await desk.kept.spend(DRAFT.key, 9, 13)
    assert error.value.reason == "not-approved"
    again = await desk.kept.register(DRAFT)
    assert again.id != request.id


async def test_what_is_not_approved_cannot_be_spent(desk: Desk) -> None:
    """Nor what was approved and has expired in between, whatever the fact said a moment ago."""
    request = await desk.kept.register(DRAFT)
    with pytest.raises(EventdError, match="no longer approved"):
        await desk.kept.spend(DRAFT.key, 1, 1)
    await desk.kept.accept(request.document.encode(), GOOD, "test")
    desk.now += 8 * 86400
    with pytest.raises(EventdError, match="no longer approved"):
        await desk.kept.spend(DRAFT.key, 1, 1)
    assert desk.fact() is None


async def test_what_was_spent_and_never_begun_can_be_withdrawn_and_is_not_good_again(desk: Desk) -> None:
    """What may have begun is finished under its approval instead."""
    request = await desk.kept.register(DRAFT)
    await desk.kept.accept(request.document.encode(), GOOD, "test")
    await desk.kept.spend(DRAFT.key, 1, 1)
    await desk.kept.withdraw(DRAFT.subject, begun=True)
    assert desk.fact() == ApprovalState(request.id, approved=True)
    await desk.kept.withdraw(DRAFT.subject, begun=False)
    assert desk.fact() is None
    with pytest.raises(EventdError, match="no longer approved"):
        await desk.kept.spend(DRAFT.key, 2, 2)


async def test_a_clock_that_jumps_back_neither_revives_nor_hastens(desk: Desk) -> None:
    """What was seen to have expired stays so; before its creation, an approval waits for the clock to be right."""
    first = await desk.kept.register(DRAFT)
    desk.now += 8 * 86400
    await desk.kept.expire()
    desk.now = NOW
    assert await desk.refused(first.document) == "expired"
    second = await desk.kept.register(DRAFT)
    desk.now = 1000.0
    assert await desk.refused(second.document) == "clock-behind"
    desk.now = NOW
    await desk.kept.accept(second.document.encode(), GOOD, "test")
    desk.now = 1000.0
    with pytest.raises(EventdError) as error:
        await desk.kept.spend(DRAFT.key, 1, 1)
    assert error.value.reason == "clock-behind"
    desk.now = NOW + 10
    await desk.kept.spend(DRAFT.key, 1, 1)


async def test_every_refusal_is_recorded_and_the_request_stays_open(desk: Desk, tmp_path: Path) -> None:
    """Another host's, a changed one, garbage, a signature that does not count; the same again is only counted."""
    request = await desk.kept.register(DRAFT)
    (tmp_path / "b").mkdir()
    other = Desk(tmp_path / "b", "b" * 32)
    theirs = await (await other.open()).register(DRAFT)
    assert await desk.refused(theirs.document) == "other-host"
    assert await desk.refused(request.document.replace("account web", "account db")) == "unknown-request"
    assert await desk.refused("{}") == "malformed-approval"
    assert desk.verified == []
    for _ in range(3):
        assert await desk.refused(request.document, b"no") == "bad-signature"
    rows = desk.kept.attempts.latest()[::-1]
    assert [(r.reason, r.times) for r in rows] == [
        ("other-host", 1),
        ("unknown-request", 1),
        ("malformed-approval", 1),
        ("bad-signature", 3),
    ]
    assert desk.emit.count(ApprovalEvent.APPROVAL_REFUSED, request.id) == 3
    assert desk.fact() == ApprovalState(request.id)
    await desk.kept.accept(request.document.encode(), GOOD, "test")


async def test_what_is_remembered_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither refusals nor requests that are over grow for ever; what is open is never dropped."""
    monkeypatch.setattr(runtime, "KEPT", 5)
    monkeypatch.setattr(attempts, "KEPT", 5)
    open_ = await desk.kept.register(replace(DRAFT, subject="first"))
    for number in range(10):
        draft = replace(DRAFT, subject=f"deletion:{number}")
        await desk.kept.register(draft)
        await desk.kept.withdraw(draft.subject, begun=False)
    await desk.kept.register(DRAFT)
    assert len(desk.kept.requests) == 7
    assert desk.kept.find(open_.id).state is State.REQUESTED
    for number in range(10):
        await desk.refused(f"{number}")
    assert len(desk.kept.attempts) == 6


async def test_two_signatures_at_once_approve_once(desk: Desk) -> None:
    """And one that is taken in while the request is rejected counts for nothing."""
    request = await desk.kept.register(DRAFT)
    document = request.document.encode()
    done = await asyncio.gather(*(desk.kept.accept(document, GOOD, "test") for _ in range(3)))
    assert {each.state for each in done} == {State.APPROVED}
    await desk.kept.withdraw(DRAFT.subject, begun=False)
    second = await desk.kept.register(DRAFT)
    accepting = asyncio.ensure_future(desk.kept.accept(second.document.encode(), GOOD, "test"))
    await asyncio.sleep(0)
    await desk.kept.reject(second.id, "root")
    with pytest.raises(EventdError, match="reject"):
        await accepting
    assert desk.fact() == ApprovalState(second.id, rejected=True)


def test_an_id_is_any_beginning_of_the_digest_that_is_long_enough() -> None:
    """Shorter ones are too easily the wrong one."""
    assert approvals.ID_LENGTH >= 12


async def test_requests_are_found_by_the_beginning_of_their_digest(desk: Desk) -> None:
    """At least six digits of it."""
    request = await desk.kept.register(DRAFT)
    for text in (request.id, request.digest, request.digest[:6]):
        assert desk.kept.find(text) == request
    for text in ("", request.digest[:5], "f" * 64):
        with pytest.raises(PermanentError) as error:
            desk.kept.find(text)
        assert error.value.reason == "no-such-approval"


async def test_approvals_in_the_repository_are_taken_in_once_and_others_lie_there_rightly(
    desk: Desk, tmp_path: Path
) -> None:
    """One for another host, and one that has been used, are no attempts; a forged one is one, once."""
    request = await desk.kept.register(DRAFT)
    (tmp_path / "b").mkdir()
    theirs = await (await Desk(tmp_path / "b", "b" * 32).open()).register(DRAFT)
    pairs = [
        Signed("approvals/theirs.json", theirs.document.encode(), GOOD),
        Signed("approvals/forged.json", request.document.encode(), b"no"),
    ]
    await desk.kept.committed(pairs)
    await desk.kept.committed(pairs)
    assert [row.times for row in desk.kept.attempts.latest()] == [1]
    good = Signed("approvals/good.json", request.document.encode(), GOOD)
    await desk.kept.committed([*pairs, good])
    found = desk.kept.find(request.id)
    assert (found.state, found.origin) == (State.APPROVED, "repository:approvals/good.json")
    await desk.kept.spend(DRAFT.key, 1, 1)
    await desk.kept.done(DRAFT.key)
    await desk.kept.committed([good])
    assert len(desk.kept.attempts) == 1


def tree(files: Mapping[str, bytes]) -> Tree:
    """Return a tree."""
    return Tree("c", {path: TreeFile(path, content) for path, content in files.items()})


def test_the_folder_approvals_is_read_and_what_is_malformed_is_a_warning_with_its_place() -> None:
    """Nothing in it refuses a workload."""
    request: Request = approvals.make(DRAFT, host="h", hostname="n", nonce="1", created=NOW, expires=NOW + 60)
    document = request.document.encode()
    pairs, findings = committed(
        tree(
            {
                "approvals/a.json": document,
                "approvals/a.json.sig": GOOD,
                "approvals/b.json": document,
                "approvals/b.sig": GOOD,
                "approvals/bad.json": b"{}",
                "approvals/bad.json.sig": GOOD,
                "approvals/lonely.json.sig": GOOD,
                "approvals/pgp.json": document,
                "approvals/pgp.json.sig": b"PGP",
                "approvals/unsigned.json": document,
                "approvals/README.md": b"what this is",
            }
        )
    )
    assert [pair.path for pair in pairs] == ["approvals/a.json", "approvals/b.json"]
    assert [(f.file, f.line, f.code) for f in findings] == [
        ("approvals/bad.json", 1, "bad-approval"),
        ("approvals/pgp.json.sig", 1, "bad-approval"),
        ("approvals/unsigned.json", 0, "bad-approval"),
        ("approvals/lonely.json.sig", 0, "bad-approval"),
    ]
    assert {f.severity.value for f in findings} == {"warning"}
