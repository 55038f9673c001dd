"""Approvals: what an operator signs before data is destroyed.

Pure. A `Draft` names the actions and their resources. A request is a draft for one host with an expiry, as a canonical
document identified by its sha256. An approval is valid once, for that host and exactly that plan, until it expires.
Signatures are verified in `eventd.approvals.adapter_ssh_signatures`; `eventd.approvals.controller` stores requests and
approvals.

Times are wall-clock times, since the signer is on another machine. A clock that is behind the document's creation (a
host without a battery, before its first time synchronisation) makes the approval wait; it is not accepted. A request
that was seen to expire stays expired, whatever the clock says later.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum

from eventd.kernel.model.draft import Draft, Planned, canonical, digest, stamp
from eventd.kernel.model.errors import PermanentError, TemporaryError

NAMESPACE = "approval@eventd"
"""Namespace of the signatures (ssh-keygen(1), -n): a signature made for another purpose is not valid here."""
VERSION = 1
LIFETIME = 7 * 86400.0
"""Seconds that a request waits for its approval, and an approval for its use."""
MAX_DOCUMENT = 64 * 1024
"""Bytes."""
MAX_SIGNATURE = 16 * 1024
"""Bytes; one with a certificate of a security key has about 2,000."""
EARLY = 300.0
"""Seconds by which the clock may be behind the creation of a document; both are this host's clock."""
ID_LENGTH = 12
"""Length of a request's id: hexadecimal digits of the digest."""


class State(StrEnum):
    """The state of a request."""

    REQUESTED = "requested"
    APPROVED = "approved"
    SPENT = "spent"
    """Its action has begun; no other action can begin under it."""
    DONE = "done"
    EXPIRED = "expired"
    REJECTED = "rejected"
    """By an operator; there is no new request until the plan changes."""
    WITHDRAWN = "withdrawn"
    """It is no longer needed."""


OPEN = (State.REQUESTED, State.APPROVED, State.SPENT)
"""The states in which the action may still be carried out."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request and its state."""

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
    """Where the signature came from: `socket` or a file of the repository; or who rejected the request."""
    run: int = 0
    step: int = 0
    """The step that spent it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A refused signature."""

    at: float
    """Seconds since the epoch."""
    request: str
    """The request it was for: an id, or the start of an unknown digest."""
    reason: str
    message: str
    origin: str
    times: int = 1
    """How often the same attempt was made in a row."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it was read. Its content is not trusted, only compared."""

    digest: str
    host: str
    subject: str


def make(draft: Draft, *, host: str, hostname: str, nonce: str, created: float, expires: float) -> Request:
    """Return the request for a draft.

    `host` is the machine id, unique to the host. `nonce` makes each request unique, even among those of a lost state
    file.
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
    """Parse a document that came from outside.

    Raises PermanentError(reason="malformed-approval") with what is wrong.
    """
    if len(content) > MAX_DOCUMENT:
        raise _malformed(f"it has {len(content)} bytes, and the limit is {MAX_DOCUMENT}")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _malformed("it is not JSON") from error
    if not isinstance(value, dict) or value.get("version") != VERSION:
        raise _malformed(f"it is not an approval document of version {VERSION}")
    texts = [value.get(key) for key in ("host", "subject", "created", "expires", "nonce")]
    if not all(isinstance(text, str) for text in texts):
        raise _malformed("it lacks host, subject, created, expires or nonce")
    if canonical(value) != content:
        raise _malformed("it was changed: it differs from what eventd wrote")
    return Document(digest(content), str(value["host"]), str(value["subject"]))


def refuse(request: Request, now: float) -> None:
    """Raise unless a signature for this request can be accepted now.

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
                f"the request {request.id} was withdrawn: it is no longer needed",
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
            hint="see timedatectl; the approval is valid once the clock is right",
        )


_AGAIN = "eventctl approvals lists what is held now"


def _expired(request: Request) -> PermanentError:
    return PermanentError(
        f"the request {request.id} expired at {stamp(request.expires)}",
        reason="expired",
        hint="if it is still held, there is a new request: eventctl approvals",
    )


def _malformed(why: str) -> PermanentError:
    return PermanentError(
        f"not an approval document: {why}",
        reason="malformed-approval",
        hint="export it again: eventctl approvals ID --export FILE",
    )
