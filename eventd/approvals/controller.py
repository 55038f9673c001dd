"""The approvals of the daemon: requests, signatures, spent approvals, and refused attempts.

    the policy holds -> register -> (an operator signs) -> accept -> fact -> the plan goes on -> spend -> act -> done

Everything is written to the store before it takes effect. A request is spent before its action begins, bound to the
step. After a crash the same plan continues under the same approval, and no other plan can: the fact's key covers plan
and resources, and a resource's identity includes the run that made it. A refused signature changes nothing except the
record of refusals.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from eventd.approvals import model as approvals
from eventd.approvals.controller_attempts import Attempts
from eventd.approvals.controller_rules import Rules
from eventd.approvals.model import OPEN, Request, State
from eventd.approvals.model_committed import Signed
from eventd.approvals.model_events import ApprovalEvent
from eventd.approvals.model_facts import ApprovalFact, ApprovalState
from eventd.desired.controller_activation import Participant
from eventd.desired.controller_load import Loaded
from eventd.kernel import document_table
from eventd.kernel.document_table import DocumentTable
from eventd.kernel.model.draft import Draft
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.model.events import Emit, KernelOrigin
from eventd.kernel.model.facts import FactKey, Facts
from eventd.kernel.ports import DocumentStore
from eventd.kernel.whole import wholly

log = logging.getLogger(__name__)
KEPT = 200
"""Closed requests that are still listed."""
RETRY = 60.0
"""Seconds between attempts to record an expiry while the disk is full."""
CURABLE = frozenset(
    {"no-allowed-signers", "untrusted-allowed-signers", "no-revoked-keys", "unknown-key", "command-missing"}
)
"""Reasons to refuse a committed approval that a change of the host can cure, so it is checked again."""
PENDING = (State.REQUESTED, State.APPROVED, State.REJECTED)
"""States that a changed plan withdraws."""

Row = tuple[DocumentTable[Any], str, Any]


@dataclass(slots=True)
class Approvals(Participant):
    """See the module. The daemon's event loop is the only writer."""

    store: DocumentStore
    facts: Facts
    emit: Emit
    rules: Rules = field(default_factory=Rules)
    wall: Callable[[], float] = time.time
    requests: DocumentTable[Request] = field(init=False)
    attempts: Attempts = field(init=False)
    """Refused signatures."""
    _by_key: dict[str, str] = field(default_factory=dict)
    """Draft.key -> id of its latest request."""
    _seen: set[str] = field(default_factory=set)
    """Pairs of files of the repository that this process has checked, by a digest of both."""
    _changed: anyio.Event = field(default_factory=anyio.Event)
    _lock: anyio.Lock = field(default_factory=anyio.Lock)

    def __post_init__(self) -> None:
        """Name the document tables."""
        self.requests = DocumentTable(self.store, "approval", Request)
        self.attempts = Attempts(self.store, self.emit, self.wall)

    async def load(self) -> None:
        """Load what is stored, and set the facts."""
        await self.requests.load()
        await self.attempts.load()
        self._by_key = {r.key: r.id for r in sorted(self.requests.rows.values(), key=lambda r: r.created)}
        await self.expire()
        for key in self._by_key:
            self.facts.set(*self._fact(key))

    async def serve(self) -> None:
        """Expire open requests on time, until cancelled. A clock that jumps is noticed at the next use."""
        while True:
            changed = self._changed
            due = min((r.expires for r in self.requests.rows.values() if _expires(r)), default=None)
            with anyio.move_on_after(None if due is None else max(1.0, due - self.wall())):
                await changed.wait()
            try:
                await self.expire()
            except EventdError as error:
                # Approving and spending check the time themselves, so this can wait.
                log.error("cannot record expired requests yet: %s", error)  # noqa: TRY400
                with anyio.move_on_after(RETRY):
                    await changed.wait()

    def of(self, key: str) -> Request | None:
        """Return the latest request of a draft."""
        found = self._by_key.get(key)
        return self.requests.get(found) if found is not None else None

    def find(self, text: str) -> Request:
        """Return the request with this id or digest, or its beginning (at least six digits).

        Raises PermanentError(reason="no-such-approval").
        """
        matching = [r for r in self.requests.rows.values() if len(text) >= 6 and r.digest.startswith(text)]
        if len(matching) != 1:
            raise PermanentError(
                f"there is no request {text!r}",
                reason="no-such-approval",
                hint="eventctl approvals lists open requests, eventctl approvals --all lists all",
            )
        return matching[0]

    @wholly
    async def register(self, draft: Draft) -> Request:
        """Open a request for a signature unless there is one; return the request. Idempotent.

        An earlier request of the same subject is withdrawn: its plan has changed.
        """
        async with self._lock:
            await self._expire()
            known = self.of(draft.key)
            if known is not None and known.state in (*OPEN, State.REJECTED):
                self.facts.set(*self._fact(draft.key))
                return known
            now = self.wall()
            rules = self.rules
            request = approvals.make(
                draft,
                host=rules.host,
                hostname=rules.hostname,
                nonce=rules.nonce(),
                created=now,
                expires=now + rules.lifetime,
            )
            for other in tuple(self.requests.rows.values()):
                if other.subject == draft.subject and other.state in PENDING:
                    await self._write(replace(other, state=State.WITHDRAWN, changed=now))
            await self._write(request, others=self._surplus())
            log.warning(
                "%s needs an approval: %s; eventctl approvals %s", draft.subject, draft.why, request.id
            )
            return request

    async def accept(self, document: bytes, signature: bytes, origin: str) -> Request:
        """Accept a signature over a document; return the request that it approves.

        A refusal is recorded and raised: PermanentError(reason="malformed-approval" |
        "other-host" | "unknown-request" | "already-used" | "expired" | "rejected" | "withdrawn" | "bad-signature" |
        "unknown-key" | …). Approving twice is not an error.
        """
        # Looked up by digest first: nothing has to be parsed to recognise our own documents.
        name = hashlib.sha256(document).hexdigest()
        try:
            return await self._accept(document, signature, origin, name)
        except EventdError as error:
            await self.attempts.record(name[: approvals.ID_LENGTH], error, origin)
            raise

    async def _accept(self, document: bytes, signature: bytes, origin: str, digest: str) -> Request:
        request = self.requests.get(digest[: approvals.ID_LENGTH])
        if request is None or request.digest != digest:
            raise self._unknown(document)
        await self.expire()
        request = self.requests.get(request.id) or request
        if request.state is State.APPROVED:
            return request
        approvals.refuse(request, self.wall())
        if len(signature) > approvals.MAX_SIGNATURE:
            raise PermanentError(
                f"the signature has more than {approvals.MAX_SIGNATURE} bytes", reason="bad-signature"
            )
        signer = await self.rules.verify(document, signature)
        async with self._lock:
            # While the signature was checked, the request may have been rejected, withdrawn, or have expired.
            await self._expire()
            request = self.requests.get(request.id) or request
            if request.state is State.APPROVED:
                return request
            approvals.refuse(request, self.wall())
            approved = replace(
                request, state=State.APPROVED, signer=signer, origin=origin, changed=self.wall()
            )
            await self._write(approved)
            log.warning("%s: the request %s is approved by %s", request.subject, request.id, signer)
            return approved

    def _unknown(self, document: bytes) -> EventdError:
        """Return why a document is not known: it is another host's, was changed, or belongs to a lost state file."""
        try:
            read = approvals.read(document)
        except EventdError as error:
            return error
        if read.host != self.rules.host:
            return PermanentError(
                f"it is for another host (machine id {read.host[:64]!r})",
                reason="other-host",
                hint="each host has its own requests: eventctl approvals",
            )
        return PermanentError(
            "this host has no such request: the document was changed, or is older than the state file",
            reason="unknown-request",
            hint="eventctl approvals lists what is held now",
        )

    async def prepare(self, loaded: Loaded) -> None:
        """Accept the signed approvals in the repository."""
        await self.committed(loaded.approvals)

    async def committed(self, pairs: Iterable[Signed]) -> None:
        """Accept documents and signatures found in the repository.

        Those for other hosts, and used ones, may stay there; they are ignored silently.
        """
        for pair in pairs:
            path, document, signature = pair.path, pair.document, pair.signature
            # With the length, so that two pairs cannot collide.
            print_ = hashlib.sha256(hashlib.sha256(document).digest() + signature).hexdigest()
            if print_ in self._seen:
                continue
            digest = hashlib.sha256(document).hexdigest()
            request = self.requests.get(digest[: approvals.ID_LENGTH])
            if request is None and _elsewhere(document, self.rules.host):
                self._seen.add(print_)
                continue
            if request is not None and request.state not in OPEN[:1]:
                continue
            try:
                await self.accept(document, signature, f"repository:{path}")
            except PermanentError as error:
                if error.reason not in CURABLE:
                    self._seen.add(print_)
                log.error("%s is not a valid approval: %s", path, error)  # noqa: TRY400 - reported, not a bug
            except EventdError as error:
                log.warning("%s cannot be accepted yet: %s", path, error)

    @wholly
    async def reject(self, text: str, by: str) -> Request:
        """Reject a request: nothing is changed, and no new request is opened until `renew`.

        Raises PermanentError(reason="no-such-approval" | "already-used" | …).
        """
        async with self._lock:
            await self._expire()
            request = self.find(text)
            if request.state is State.REJECTED:
                return request
            approvals.refuse(request, request.created)
            rejected = replace(request, state=State.REJECTED, origin=by, changed=self.wall())
            await self._write(rejected)
            return rejected

    @wholly
    async def renew(self, text: str) -> Request:
        """Withdraw a rejection: the next run opens a new request, under a new id."""
        async with self._lock:
            request = self.find(text)
            if request.state is not State.REJECTED:
                raise PermanentError(
                    f"the request {request.id} is {request.state}, not rejected", reason="not-rejected"
                )
            withdrawn = replace(request, state=State.WITHDRAWN, changed=self.wall())
            await self._write(withdrawn)
            return withdrawn

    @wholly
    async def withdraw(self, subject: str, *, begun: bool) -> None:
        """Withdraw the requests of a subject, which are no longer needed.

        `begun`: the action may have started, so what is spent has to be finished under its approval.
        """
        states = PENDING if begun else (*PENDING, State.SPENT)
        async with self._lock:
            for request in tuple(self.requests.rows.values()):
                if request.subject == subject and request.state in states:
                    await self._write(replace(request, state=State.WITHDRAWN, changed=self.wall()))

    @wholly
    async def spend(self, key: str, run: int, step: int) -> Request:
        """Spend an approval before its action begins; a plan that has begun under it continues.

        Raises PermanentError(reason="not-approved" | "expired" | …), TemporaryError(reason="clock-behind").
        """
        async with self._lock:
            await self._expire()
            request = self.of(key)
            if request is None or request.state not in (State.APPROVED, State.SPENT):
                raise PermanentError(
                    "the plan is not the approved one, or is no longer approved",
                    reason="not-approved",
                    hint="eventctl approvals lists what is held now",
                )
            if request.state is State.APPROVED:
                approvals.in_time(request, self.wall())
            spent = replace(request, state=State.SPENT, run=run, step=step, changed=self.wall())
            await self._write(spent)
            return spent

    @wholly
    async def done(self, key: str, rows: Sequence[Row] = ()) -> None:
        """Record that the action is done, together with `rows` of other document tables. Idempotent."""
        async with self._lock:
            request = self.of(key)
            if request is None or request.state is not State.SPENT:
                await document_table.write(rows)
                return
            await self._write(replace(request, state=State.DONE, changed=self.wall()), others=rows)

    @wholly
    async def expire(self) -> None:
        """Mark the requests that have expired."""
        async with self._lock:
            await self._expire()

    async def _expire(self) -> None:
        now = self.wall()
        for request in tuple(self.requests.rows.values()):
            if _expires(request) and now >= request.expires:
                log.warning("%s: the request %s has expired", request.subject, request.id)
                await self._write(replace(request, state=State.EXPIRED, changed=now))

    @wholly
    async def _write(self, request: Request, others: Sequence[Row] = ()) -> None:
        await document_table.write([(self.requests, request.id, request), *others])
        latest = self.of(request.key)
        if latest is None or latest.created <= request.created:
            self._by_key[request.key] = request.id
        self._changed.set()
        self._changed = anyio.Event()
        self.emit(
            KernelOrigin.DAEMON,
            ApprovalEvent.APPROVAL_CHANGED,
            request.id,
            scope=request.subject,
            attributes={"state": request.state.value, "signer": request.signer},
            facts=[self._fact(request.key)],
        )

    def _fact(self, key: str) -> tuple[FactKey, ApprovalState | None]:
        """Return the fact of a draft, which wakes the subject that is held for it."""
        request = self.of(key)
        value: ApprovalState | None = None
        if request is not None:
            match request.state:
                case State.REQUESTED:
                    value = ApprovalState(request.id)
                case State.APPROVED | State.SPENT:
                    value = ApprovalState(request.id, approved=True)
                case State.REJECTED:
                    value = ApprovalState(request.id, rejected=True)
                case State.DONE | State.EXPIRED | State.WITHDRAWN:
                    value = None
        return FactKey(ApprovalFact.APPROVAL, key), value

    def _surplus(self) -> list[Row]:
        """Return rows that delete the oldest closed requests."""
        over = sorted((r.changed, r.id) for r in self.requests.rows.values() if r.state not in OPEN)
        return [(self.requests, each, None) for _, each in over[: max(0, len(over) - KEPT)]]


def _expires(request: Request) -> bool:
    return request.state in (State.REQUESTED, State.APPROVED)


def _elsewhere(document: bytes, host: str) -> bool:
    """Return whether a document claims to be another host's."""
    try:
        return approvals.read(document).host != host
    except EventdError:
        return False
