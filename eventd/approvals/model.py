"""Approvals: what an operator signs before anything is destroyed that bears data.

Pure. A `Draft` says what would be done to what; a request is a draft for one host with an expiry, as a canonical
document whose sha256 is what everybody refers to. An approval is good once, for that host, for exactly that plan,
until it expires. Signatures are checked in `eventd.approvals.adapter_ssh_signatures`; `eventd.approvals.controller`
keeps both.

Times are of the wall clock, since the signer's is another machine's. A clock that is behind the document's creation
(a host without a battery, before its first time synchronisation) is no ground to accept it: such an approval waits.
What was once seen to have expired stays expired, whatever the clock says later.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from eventd.kernel.model.draft import Draft, Planned, canonical, digest, stamp
from eventd.kernel.model.errors import PermanentError, TemporaryError

NAMESPACE = "approval@eventd"
"""Of the signature (ssh-keygen(1), -n): one made for something else is none for this."""
VERSION = 1
LIFETIME = 7 * 86400.0
"""Seconds that a request waits for its approval, and an approval for being used."""
MAX_DOCUMENT = 64 * 1024
"""Bytes."""
MAX_SIGNATURE = 16 * 1024
"""Bytes; one with a certificate of a security key has about 2,000."""
EARLY = 300.0
"""Seconds by which this host's clock may be behind the clock that a document was made by: it is the same host's."""
ID_LENGTH = 12
"""Hexadecimal digits of the digest that people type."""


class State(StrEnum):
    """Where a request stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    SPENT = "spent"
    """Its action has begun, and nothing else can begin under it."""
    DONE = "done"
    EXPIRED = "expired"
    REJECTED = "rejected"
    """By an operator: it is not asked for again until the plan changes."""
    WITHDRAWN = "withdrawn"
    """Nothing asks for it any more."""


OPEN = (State.REQUESTED, State.APPROVED, State.SPENT)
"""The states in which something may still come of it."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request and what became of it."""

    id: str
    digest: str
    """sha256 of the document's bytes, hexadecimal."""
    key: str
    """`Draft.key`."""
    document: str
    """What is signed, byte for byte."""
    subject: str
    plan: tuple[Planned, ...]
    resources: tuple[str, ...]
    why: str
    created: float
    """Seconds since the epoch, as `expires` and `changed`."""
    expires: float
    state: State = State.REQUESTED
    changed: float = 0.0
    signer: str = ""
    """The principal in allowed_signers that signed."""
    origin: str = ""
    """How the signature came: `socket` or the file of the repository; or who rejected it."""
    run: int = 0
    step: int = 0
    """Under which step it was spent."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A signature that was refused."""

    at: float
    """Seconds since the epoch."""
    request: str
    """What it was meant for: an id, or the start of an unknown digest."""
    reason: str
    message: str
    origin: str
    times: int = 1
    """How often the very same was tried in a row."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was read; what stands in it is not believed, only compared."""

    digest: str
    host: str
    subject: str


def make(draft: Draft, *, host: str, hostname: str, nonce: str, created: float, expires: float) -> Request:
    """Return the request for a draft.

    `host` is the machine id, which no other host has; `nonce` makes each request differ from all others, also from
    those that a lost state file has forgotten.
    """
    text = canonical(
        {
            "version": VERSION,
            "host": host,
            "hostname": hostname,
            "subject": draft.subject,
            "plan": [asdict(each) for each in draft.plan],
            "resources": list(draft.resources),
            "why": draft.why,
            "created": stamp(created),
            "expires": stamp(expires),
            "nonce": nonce,
        }
    )
    hashed = digest(text)
    return Request(
        id=hashed[:ID_LENGTH],
        digest=hashed,
        key=draft.key,
        document=text.decode(),
        subject=draft.subject,
        plan=draft.plan,
        resources=draft.resources,
        why=draft.why,
        created=float(int(created)),
        expires=float(int(expires)),
        changed=created,
    )


def read(content: bytes) -> Document:
    """Read a document that came from outside.

    Raises PermanentError(reason="malformed-approval") saying what is wrong with it.
    """
    if len(content) > MAX_DOCUMENT:
        raise _malformed(f"it has {len(content)} bytes, and the limit is {MAX_DOCUMENT}")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _malformed("it is not JSON") from error
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise _malformed(f"it is no approval document of version {VERSION}")
    texts = [value.get(key) for key in ("host", "subject", "created", "expires", "nonce")]
    if not all(isinstance(text, str) for text in texts):
        raise _malformed("it lacks host, subject, created, expires or nonce")
    if canonical(value) != content:
        raise _malformed("it was changed: it is not byte for byte what eventd wrote")
    return Document(digest(content), str(value["host"]), str(value["subject"]))


def refuse(request: Request, now: float) -> None:
    """Raise unless a signature for this request is of use now.

    PermanentError(reason="already-used" | "expired" | "rejected" | "withdrawn"), TemporaryError("clock-behind").
    """
    match request.state:
        case State.SPENT | State.DONE:
            raise PermanentError(
                f"the approval {request.id} has been used already", reason="already-used", hint=_AGAIN
            )
        case State.EXPIRED:
            raise _expired(request)
        case State.REJECTED:
            raise PermanentError(
                f"the request {request.id} was rejected by {request.origin}", reason="rejected", hint=_AGAIN
            )
        case State.WITHDRAWN:
            raise PermanentError(
                f"the request {request.id} was withdrawn: what it was for is not asked for any more",
                reason="withdrawn",
                hint=_AGAIN,
            )
        case State.REQUESTED | State.APPROVED:
            in_time(request, now)


def in_time(request: Request, now: float) -> None:
    """Raise unless the wall clock is between creation and expiry."""
    if now >= request.expires:
        raise _expired(request)
    if now < request.created - EARLY:
        raise TemporaryError(
            f"this host's clock says {stamp(now)}, and the request {request.id} was made at"
            f" {stamp(request.created)}",
            reason="clock-behind",
            hint="see timedatectl; the approval counts once the clock is right",
        )


_AGAIN = "eventctl approvals lists what is held now"


def _expired(request: Request) -> PermanentError:
    return PermanentError(
        f"the request {request.id} expired at {stamp(request.expires)}",
        reason="expired",
        hint="what is still held has a new request: eventctl approvals",
    )


def _malformed(why: str) -> PermanentError:
    return PermanentError(
        f"not an approval document: {why}",
        reason="malformed-approval",
        hint="export it again: eventctl approvals ID --export FILE",
    )
