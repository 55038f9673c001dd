"""Verifies the forges' signatures over the bytes of a request, before any of it is parsed.

Pure. Owns the meaning of the headers, and the comparison in constant time. Sources: GitHub, "Validating webhook
deliveries"; Gitea and Forgejo, "Webhooks"; GitLab, "Webhooks" and its signing tokens, which follow the Standard
Webhooks specification 1.0.0.

GitHub, Gitea and Forgejo sign only the body, neither delivery id nor time. A recorded delivery can be sent again with
another id, so its signature is remembered as well.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eventd.webhook.process_settings import Forge

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

    from eventd.webhook.process_settings import Hook

    Headers = CIMultiDictProxy[str]

SIGNING_PREFIX = b"whsec_"


@dataclass(frozen=True, slots=True)
class Verified:
    """A request with a valid signature."""

    event: str
    """The forge's name of the event: `push`, `ping`, `Push Hook`, …"""
    delivery: str
    """The forge's id of the delivery; empty if it sent none."""
    identities: tuple[str, ...]
    """The values that must not occur twice."""


class RefusedError(Exception):
    """The signature is missing or invalid. `reason` is for the log; the client only gets a 401."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def verify(hook: Hook, headers: Headers, body: bytes, *, now: float) -> Verified:
    """Verify the request. `now`: seconds since the epoch. Raises RefusedError."""
    match hook.table.forge:
        case Forge.GITHUB:
            return _body_signature(hook, headers, body, ("X-Hub-Signature-256",), "sha256=", ("X-GitHub-",))
        case Forge.GITEA:
            return _body_signature(hook, headers, body, ("X-Gitea-Signature",), "", ("X-Gitea-",))
        case Forge.FORGEJO:
            # Forgejo before 7 only has Gitea's headers. If its own header is present, the others do not count.
            names = ("X-Forgejo-Signature", "X-Gitea-Signature")
            return _body_signature(hook, headers, body, names, "", ("X-Forgejo-", "X-Gitea-"))
        case Forge.GITLAB if hook.secret.startswith(SIGNING_PREFIX):
            return _standard_webhook(hook, headers, body, now)
        case Forge.GITLAB:
            return _gitlab_token(hook, headers)


def _one(headers: Headers, *names: str) -> str:
    """Return the value of the first of these headers that is present. A repeated header is refused."""
    for name in names:
        values = headers.getall(name, ())
        if len(values) > 1:
            raise RefusedError(f"repeated-{name.lower()}")
        if values:
            return values[0]
    return ""


def _equal(expected: bytes, given: str) -> bool:
    return hmac.compare_digest(expected, given.encode("utf-8", "surrogateescape"))


def _body_signature(
    hook: Hook, headers: Headers, body: bytes, names: tuple[str, ...], prefix: str, families: tuple[str, ...]
) -> Verified:
    given = _one(headers, *names)
    if not given:
        raise RefusedError("unsigned")
    expected = prefix + hmac.new(hook.secret, body, hashlib.sha256).hexdigest()
    if not _equal(expected.encode(), given):
        raise RefusedError("wrong-signature")
    delivery = _one(headers, *(f"{family}Delivery" for family in families))
    event = _one(headers, *(f"{family}Event" for family in families))
    return Verified(event, delivery, (f"id:{delivery}", f"signature:{expected}") if delivery else ())


def _gitlab_token(hook: Hook, headers: Headers) -> Verified:
    given = _one(headers, "X-Gitlab-Token")
    if not given:
        raise RefusedError("unsigned")
    if not _equal(hook.secret, given):
        raise RefusedError("wrong-token")
    # Idempotency-Key is the same for all attempts of one delivery. X-Gitlab-Webhook-UUID identifies the hook, not the
    # delivery.
    delivery = _one(headers, "Idempotency-Key", "X-Gitlab-Event-UUID")
    return Verified(_one(headers, "X-Gitlab-Event"), delivery, (f"id:{delivery}",) if delivery else ())


def _standard_webhook(hook: Hook, headers: Headers, body: bytes, now: float) -> Verified:
    """Verify `v1,<base64 of HMAC-SHA256(key, "id.timestamp.body")>`; there may be several."""
    message, sent = _one(headers, "webhook-id"), _one(headers, "webhook-timestamp")
    signatures = _one(headers, "webhook-signature").split(" ")
    if not message or not sent or signatures == [""]:
        raise RefusedError("unsigned")
    signed = b".".join(
        (message.encode("utf-8", "surrogateescape"), sent.encode("utf-8", "surrogateescape"), body)
    )
    digest = hmac.new(signing_key(hook.secret), signed, hashlib.sha256).digest()
    expected = b"v1," + base64.b64encode(digest)
    matches = [_equal(expected, given) for given in signatures[:16]]  # all of them, in constant time
    if not any(matches):
        raise RefusedError("wrong-signature")
    if (
        not (sent.isascii() and sent.isdigit() and len(sent) < 12)
        or abs(now - int(sent)) > hook.table.tolerance
    ):
        raise RefusedError("stale-timestamp")
    return Verified(_one(headers, "X-Gitlab-Event"), message, (f"id:{message}",))


def signing_key(secret: bytes) -> bytes:
    """Return the key of a `whsec_…` signing token. Raises ValueError if it is not one."""
    try:
        key = base64.b64decode(secret.removeprefix(SIGNING_PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("a signing token must be whsec_ followed by base64") from error
    if len(key) < 16:
        raise ValueError("the signing token is too short")
    return key
