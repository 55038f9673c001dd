"""Scope: eventd.webhook.process_payload: what a signed body says, also a hostile one."""

from __future__ import annotations

import json

import pytest

from eventd.webhook.process_payload import Ignored, MalformedError, Push, interpret
from eventd.webhook.process_settings import Forge
from tests.unit.webhook.webhookside import COMMIT, push

GITLAB = {
    "object_kind": "push",
    "ref": "refs/heads/main",
    "after": COMMIT,
    "checkout_sha": COMMIT,
    "project": {"path_with_namespace": "group/sub/host", "id": 15},
}


@pytest.mark.parametrize("forge", [Forge.GITHUB, Forge.GITEA, Forge.FORGEJO])
def test_a_push(forge: Forge) -> None:
    """Repository, branch and commit are found."""
    assert interpret(forge, "push", push(pusher={"name": "ann"})) == Push("team/host", "main", COMMIT)


@pytest.mark.parametrize("event", ["Push Hook", "System Hook"])
def test_a_gitlab_push(event: str) -> None:
    """GitLab's names differ; a system hook is a push only if it says so."""
    assert interpret(Forge.GITLAB, event, json.dumps(GITLAB).encode()) == Push(
        "group/sub/host", "main", COMMIT
    )
    other = json.dumps({**GITLAB, "object_kind": "tag_push"}).encode()
    assert interpret(Forge.GITLAB, event, other) == Ignored("other-event")


@pytest.mark.parametrize("branch", ["größe/日本", "a b", "emoji-🚀"])
def test_branch_names_of_any_script(branch: str) -> None:
    """A branch may be called what it likes, escaped in JSON or not."""
    for ascii_only in (True, False):
        body = json.dumps(json.loads(push(f"refs/heads/{branch}")), ensure_ascii=ascii_only).encode()
        assert interpret(Forge.GITEA, "push", body) == Push("team/host", branch, COMMIT)


@pytest.mark.parametrize(
    ("event", "body", "reason"),
    [
        ("ping", b"not even JSON", "ping"),
        ("issues", b"", "other-event"),
        ("", b"", "other-event"),
        ("push", push("refs/tags/v1"), "not-a-branch"),
        ("push", push("refs/heads/"), "not-a-branch"),
        ("push", push(after="0" * 40), "branch-deleted"),
        ("push", push(after="0" * 64), "branch-deleted"),
    ],
)
def test_what_asks_for_nothing(event: str, body: bytes, reason: str) -> None:
    """Pings, other events, tags and deletions are in order, and ignored."""
    assert interpret(Forge.GITHUB, event, body) == Ignored(reason)


GOOD = push().decode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"push"',
        b"{",
        b"payload=%7B%7D",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"ref":' + b"9" * 100_000 + b"}",
        GOOD.replace(COMMIT, "9" * 40).replace('"' + "9" * 40 + '"', "9" * 5000).encode(),
        GOOD.encode("utf-16"),
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.replace("main", "caf\xe9").encode("latin-1"),
        GOOD.replace('{"ref"', '{"ref": "refs/heads/other", "ref"').encode(),
        GOOD.replace('"full_name"', '"full_name": "a/b", "full_name"').encode(),
        GOOD.replace(f'"{COMMIT}"', "NaN").encode(),
        GOOD.replace(COMMIT, COMMIT.upper()).encode(),
        GOOD.replace(COMMIT, COMMIT[:39]).encode(),
        GOOD.replace(COMMIT, "--upload-pack=x").encode(),
        GOOD.replace("main", "a\\nb").encode(),
        GOOD.replace("main", "\\u001b[31m").encode(),
        GOOD.replace("main", "\\ud800").encode(),
        GOOD.replace("main", "x" * 600).encode(),
        GOOD.replace("team/host", "team/\\u202ehost").encode(),
        GOOD.replace('"refs/heads/main"', '["refs/heads/main"]').encode(),
        GOOD.replace('{"full_name": "team/host"}', "null").encode(),
    ],
)
def test_a_malformed_push(body: bytes) -> None:
    """Whatever is not the body of a push is malformed, and neither crashes nor slips through."""
    with pytest.raises(MalformedError):
        interpret(Forge.GITHUB, "push", body)
