"""Scope: eventd.webhook.process_signatures, with the vectors of the forges' documentation and specifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from eventd.webhook.process_signatures import RefusedError, verify
from tests.unit.webhook.webhookside import SECRET, github, headers, settings, standard

if TYPE_CHECKING:
    from pathlib import Path

    from eventd.webhook.process_settings import Hook

# GitHub, "Validating webhook deliveries", testing the webhook payload validation
GITHUB_BODY = b"Hello, World!"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
# RFC 4231, test case 2
RFC_KEY, RFC_BODY = b"Jefe", b"what do ya want for nothing?"
RFC_SIGNATURE = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
# Standard Webhooks 1.0.0, the example of its libraries
TOKEN = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = bytes.fromhex("31f290f6bf0629 8aab4f08d43c3f082cf648a362da2da4b0".replace(" ", ""))
MESSAGE, SENT = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330
STANDARD_BODY = b'{"test": 2432232314}'
STANDARD_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def hook(folder: Path, secret: bytes, **table: Any) -> Hook:
    """Make a hook."""
    return settings(folder, secret, **table).hooks["/hooks/host"]


def refusal(made: Hook, body: bytes, now: float = 0, *pairs: tuple[str, str], **given: Any) -> str:
    """Return why a request is refused."""
    with pytest.raises(RefusedError) as caught:
        verify(made, headers(*pairs, **given), body, now=now)
    return caught.value.reason


def test_githubs_own_example(tmp_path: Path) -> None:
    """The signature of GitHub's documentation is accepted, over exactly that body and with that secret."""
    made = hook(tmp_path, SECRET)
    given: Any = {
        "X_Hub_Signature_256": GITHUB_SIGNATURE,
        "X_GitHub_Event": "push",
        "X_GitHub_Delivery": "d-1",
    }
    verified = verify(made, headers(**given), GITHUB_BODY, now=0)
    assert (verified.event, verified.delivery) == ("push", "d-1")
    assert verified.identities == ("id:d-1", f"signature:{GITHUB_SIGNATURE}")
    assert refusal(made, GITHUB_BODY + b" ", **given) == "wrong-signature"
    assert refusal(made, GITHUB_BODY[:-1], **given) == "wrong-signature"
    assert refusal(hook(tmp_path, b"another secret"), GITHUB_BODY, **given) == "wrong-signature"


@pytest.mark.parametrize("forge", ["gitea", "forgejo"])
def test_gitea_and_forgejo_sign_in_bare_hexadecimal(tmp_path: Path, forge: str) -> None:
    """Their signature is the bare HMAC of the body; GitHub's header does not count."""
    made = hook(tmp_path, RFC_KEY, forge=forge)
    family = forge.capitalize()
    pairs = [
        (f"X-{family}-Signature", RFC_SIGNATURE),
        (f"X-{family}-Event", "push"),
        (f"X-{family}-Delivery", "d"),
    ]
    assert verify(made, headers(*pairs), RFC_BODY, now=0).delivery == "d"
    assert refusal(made, RFC_BODY, 0, ("X-Hub-Signature-256", f"sha256={RFC_SIGNATURE}")) == "unsigned"
    assert (
        refusal(made, RFC_BODY, 0, (f"X-{family}-Signature", f"sha256={RFC_SIGNATURE}")) == "wrong-signature"
    )


def test_an_old_forgejo_signs_as_gitea(tmp_path: Path) -> None:
    """Gitea's names stand in for Forgejo's own; they do not save a bad Forgejo signature."""
    made = hook(tmp_path, RFC_KEY, forge="forgejo")
    old: Any = {"X_Gitea_Signature": RFC_SIGNATURE, "X_Gitea_Event": "push", "X_Gitea_Delivery": "d"}
    assert verify(made, headers(**old), RFC_BODY, now=0).event == "push"
    assert refusal(made, RFC_BODY, **old, X_Forgejo_Signature="0" * 64) == "wrong-signature"


def test_the_example_of_standard_webhooks(tmp_path: Path) -> None:
    """The signing token's scheme is that of the specification, and the helper of these tests signs alike."""
    made = hook(tmp_path, TOKEN, forge="gitlab")
    given = [
        ("webhook-id", MESSAGE),
        ("webhook-timestamp", str(SENT)),
        ("webhook-signature", STANDARD_SIGNATURE),
        ("X-Gitlab-Event", "Push Hook"),
    ]
    verified = verify(made, headers(*given), STANDARD_BODY, now=SENT + 10)
    assert (verified.event, verified.delivery, verified.identities) == (
        "Push Hook",
        MESSAGE,
        (f"id:{MESSAGE}",),
    )
    assert standard(STANDARD_BODY, KEY, MESSAGE, SENT)["webhook-signature"] == STANDARD_SIGNATURE


def test_one_good_signature_of_several_is_enough(tmp_path: Path) -> None:
    """While a token is exchanged the forge may sign with both; versions that are not known do not count."""
    made = hook(tmp_path, TOKEN, forge="gitlab")
    given = {"webhook_id": MESSAGE, "webhook_timestamp": str(SENT)}
    both = f"v1,AAAA {STANDARD_SIGNATURE}"
    assert verify(made, headers(**given, webhook_signature=both), STANDARD_BODY, now=SENT).delivery == MESSAGE
    other = STANDARD_SIGNATURE.replace("v1,", "v2,")
    assert refusal(made, STANDARD_BODY, SENT, **given, webhook_signature=other) == "wrong-signature"


@pytest.mark.parametrize("off", [-301, 301, 10**9])
def test_a_stale_or_future_timestamp_is_refused(tmp_path: Path, off: int) -> None:
    """A signed time beyond the tolerance of 300 s, either way, is a replay."""
    made = hook(tmp_path, TOKEN, forge="gitlab")
    given = {"webhook_id": MESSAGE, "webhook_timestamp": str(SENT), "webhook_signature": STANDARD_SIGNATURE}
    assert verify(made, headers(**given), STANDARD_BODY, now=SENT + 300).delivery == MESSAGE
    assert refusal(made, STANDARD_BODY, SENT + off, **given) == "stale-timestamp"


@pytest.mark.parametrize("change", ["webhook_id", "webhook_timestamp"])
def test_id_and_time_are_signed(tmp_path: Path, change: str) -> None:
    """Neither the id nor the time can be exchanged."""
    made = hook(tmp_path, TOKEN, forge="gitlab")
    given = {"webhook_id": MESSAGE, "webhook_timestamp": str(SENT), "webhook_signature": STANDARD_SIGNATURE}
    given[change] += "1" if change == "webhook_id" else "0"
    assert refusal(made, STANDARD_BODY, SENT, **given) == "wrong-signature"


@pytest.mark.parametrize("sent", ["", "soon", "-1", "1.5", "٣", "9" * 30])
def test_an_odd_timestamp_is_refused(tmp_path: Path, sent: str) -> None:
    """A time that is no plain number is refused even when it is signed."""
    made = hook(tmp_path, TOKEN, forge="gitlab")
    signed = standard(STANDARD_BODY, KEY, MESSAGE, sent)  # type: ignore[arg-type]
    assert refusal(made, STANDARD_BODY, SENT, *signed.items()) in ("stale-timestamp", "unsigned")


def test_a_signing_token_is_not_downgraded(tmp_path: Path) -> None:
    """With a signing token configured, the plain token header does not help."""
    made = hook(tmp_path, TOKEN, forge="gitlab")
    assert refusal(made, b"{}", X_Gitlab_Token=TOKEN.decode()) == "unsigned"


def test_gitlabs_token(tmp_path: Path) -> None:
    """The token has to be the secret; the delivery is the idempotency key, the same over all retries."""
    made = hook(tmp_path, b"a gitlab token", forge="gitlab")
    given = {
        "X_Gitlab_Token": "a gitlab token",
        "X_Gitlab_Event": "Push Hook",
        "X_Gitlab_Webhook_UUID": "hook",
    }
    verified = verify(made, headers(**given, Idempotency_Key="k-1", X_Gitlab_Event_UUID="e-1"), b"{}", now=0)
    assert (verified.event, verified.delivery) == ("Push Hook", "k-1")
    assert verify(made, headers(**given, X_Gitlab_Event_UUID="e-1"), b"{}", now=0).delivery == "e-1"
    assert verify(made, headers(**given), b"{}", now=0).identities == ()
    assert refusal(made, b"{}", X_Gitlab_Token="A gitlab token") == "wrong-token"
    assert refusal(made, b"{}") == "unsigned"


def test_a_repeated_signature_header_is_refused(tmp_path: Path) -> None:
    """A proxy and we might each believe another one of two."""
    made = hook(tmp_path, SECRET)
    pair = ("X-Hub-Signature-256", GITHUB_SIGNATURE)
    assert refusal(made, GITHUB_BODY, 0, pair, pair) == "repeated-x-hub-signature-256"


@pytest.mark.parametrize(
    "given", ["", "sha256=", "sha256=é", "sha1=x", GITHUB_SIGNATURE.upper(), "sha256=\udc80"]
)
def test_odd_signatures_are_refused(tmp_path: Path, given: str) -> None:
    """Whatever stands in the header, the answer is a refusal and not a crash."""
    assert refusal(hook(tmp_path, SECRET), GITHUB_BODY, X_Hub_Signature_256=given) in (
        "wrong-signature",
        "unsigned",
    )


def test_the_helper_signs_like_github(tmp_path: Path) -> None:
    """The helper of these tests makes GitHub's own example."""
    assert github(GITHUB_BODY)["X-Hub-Signature-256"] == GITHUB_SIGNATURE
    assert tmp_path.exists()
