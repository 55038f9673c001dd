"""`eventctl approvals`, `approve`, `reject`, `retained`, `remove`: what is signed is what was shown."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.cli_runner import Tty, eventctl
from tests.unit.cli.fake_daemon import NOW, Answer, FakeDaemon, error, short_path

DOCUMENT = '{"subject":"deletion:web"}\n'
ID = "3f9a2c000000"


def request(**changes: Any) -> dict[str, Any]:
    """Return a request as the API shows it."""
    return {
        "id": ID,
        "state": "requested",
        "subject": "deletion:web",
        "why": "web left the repository",
        "plan": [{"action": "delete-account", "target": "web", "does": "deletes /home/web"}],
        "resources": ["account web uid 1001"],
        "digest": ID + "f" * 52,
        "created": NOW - 60,
        "expires": NOW + 86400,
        "changed": NOW,
        "signer": "",
        "origin": "",
        "run": 0,
        "document": DOCUMENT,
        **changes,
    }


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    """A daemon with one request."""
    path = short_path(tmp_path)
    answers: dict[str, Answer | list[Answer]] = {
        "GET /v1/approvals": Answer({"approvals": [request()], "refused": []}),
        f"GET /v1/approvals/{ID}": Answer(request()),
        f"POST /v1/approvals/{ID}/signature": Answer(request(state="approved", signer="alice")),
    }
    with FakeDaemon(path, answers) as fake:
        yield fake


def run(daemon: FakeDaemon, *argv: str) -> Any:
    """Run eventctl against it."""
    return eventctl("--socket", daemon.path, *argv)


def test_what_waits_is_listed_with_how_to_approve_it(daemon: FakeDaemon) -> None:
    """And the exit code says that something waits."""
    said = run(daemon, "approvals")
    assert said.code == 4
    for part in (
        "account web uid 1001",
        "deletes /home/web",
        f"eventctl approve {ID} --key",
        "expires:   in",
    ):
        assert part in said.out
    daemon.answers["GET /v1/approvals"] = Answer({"approvals": [], "refused": []})
    nothing = run(daemon, "approvals")
    assert (nothing.code, nothing.out) == (0, "nothing waits for an approval\n")


def test_refused_signatures_are_listed_with_all(daemon: FakeDaemon) -> None:
    """With their reason and where they came from; nothing of them is shown raw."""
    attempt = {
        "at": NOW - 5,
        "request": "aaa",
        "reason": "unknown-key",
        "message": "who is \x1b[2J",
        "origin": "socket",
        "times": 3,
    }
    daemon.answers["GET /v1/approvals"] = Answer({"approvals": [], "refused": [attempt]})
    said = run(daemon, "approvals", "--all")
    assert daemon.requests[-1].query == {"all": "1"}
    assert "unknown-key" in said.out
    assert "3 times" in said.out
    assert "\x1b" not in said.out


def test_a_document_is_exported_byte_for_byte_and_signed_elsewhere(
    daemon: FakeDaemon, tmp_path: Path
) -> None:
    """With plain ssh-keygen; what is handed in is its file."""
    file, key = tmp_path / "doc.json", tmp_path / "key"
    assert run(daemon, "approvals", ID, "--export", str(file)).code == 4
    assert file.read_text() == DOCUMENT
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-Y", "sign", "-n", "approval@eventd", "-f", str(key), str(file)], check=True
    )
    done = run(daemon, "approve", ID, "--signature", f"{file}.sig", "--document", str(file))
    assert (done.code, "approved by alice" in done.out) == (0, True)
    assert daemon.requests[-1].body == {
        "signature": Path(f"{file}.sig").read_text(),
        "document": DOCUMENT,
    }


def test_a_request_is_shown_signed_and_handed_in(daemon: FakeDaemon, tmp_path: Path) -> None:
    """The signature is over the daemon's bytes, in eventd's namespace."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    (tmp_path / "allowed").write_text(f"me {key.with_suffix('.pub').read_text()}")
    done = run(daemon, "approve", ID, "--key", str(key), "--yes")
    assert done.code == 0
    assert "account web uid 1001" in done.out
    (tmp_path / "sig").write_text(daemon.requests[-1].body["signature"])
    subprocess.run(
        [
            *("ssh-keygen", "-Y", "verify", "-f", f"{tmp_path}/allowed", "-I", "me"),
            *("-n", "approval@eventd", "-s", f"{tmp_path}/sig"),
        ],
        input=DOCUMENT.encode(),
        check=True,
        capture_output=True,
    )


def test_what_cannot_be_signed_is_not_handed_in(daemon: FakeDaemon, tmp_path: Path) -> None:
    """No such key, a file that is none, both ways at once, neither."""
    (tmp_path / "no-key").write_text("no key\n")
    for arguments, code in (
        (["--key", "/nowhere"], 1),
        (["--key", f"{tmp_path}/no-key"], 1),
        ([], 2),
        (["--key", "a", "--signature", "b"], 2),
    ):
        assert run(daemon, "approve", ID, "--yes", *arguments).code == code
    assert not [r for r in daemon.requests if r.method == "POST"]


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_where_nobody_can_be_asked_nothing_is_signed(
    daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str]
) -> None:
    """A script without --yes, by mistake or by `</dev/null`: it is told what to write, and the key stays unused."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    said = run(daemon, "approve", ID, "--key", str(key), *more)
    assert said.code == 1
    assert "standard input is not a terminal; pass --yes\nnot signed\n" in said.err
    assert not [r for r in daemon.requests if r.method == "POST"]


@pytest.mark.parametrize(("answer", "signed"), [("y\n", True), ("\n", False), ("", False)])
def test_a_person_is_asked_and_no_answer_is_a_no(
    daemon: FakeDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, signed: bool
) -> None:
    """At a terminal: after the request was shown, and only a yes signs."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    monkeypatch.setattr("sys.stdin", Tty(answer))
    said = eventctl("--socket", daemon.path, "approve", ID, "--key", str(key), tty=True)
    assert ("sign this? [y/N]" in said.err, "account web uid 1001" in said.out) == (True, True)
    assert (said.code == 0, bool([r for r in daemon.requests if r.method == "POST"])) == (signed, signed)


def test_a_refusal_of_the_daemon_is_said_with_what_to_do(daemon: FakeDaemon, tmp_path: Path) -> None:
    """With its reason in JSON."""
    (tmp_path / "sig").write_text("sig")
    daemon.answers[f"POST /v1/approvals/{ID}/signature"] = Answer(
        error("expired", "it expired", "ask again"), status=400
    )
    said = run(daemon, "approve", ID, "--signature", f"{tmp_path}/sig", "--json")
    assert said.code == 1
    assert json.loads(said.out)["error"]["reason"] == "expired"
    assert "hint: ask again" in said.err


def test_reject_remove_and_retained(daemon: FakeDaemon) -> None:
    """Each says what it did, and what undoes it."""
    row = {
        "name": "web",
        "since": NOW - 3600,
        "uid": 1001,
        "home": "/home/web",
        "data": "keep",
        "said_by": "",
    }
    daemon.answers |= {
        f"POST /v1/approvals/{ID}/reject": Answer(request(state="rejected")),
        "POST /v1/retained/web": Answer({"queued": True}, status=202),
        "GET /v1/retained": Answer({"retained": [row]}),
        "GET /v1/retained/web": Answer(
            {**row, "files": 3, "bytes": 5 << 20, "complete": True, "top": ["data"]}
        ),
    }
    assert f"eventctl reject {ID} --undo" in run(daemon, "reject", ID).out
    assert daemon.requests[-1].body == {"undo": False}
    run(daemon, "reject", ID, "--undo")
    assert daemon.requests[-1].body == {"undo": True}
    assert "until an operator signs" in run(daemon, "remove", "web", "--data", "delete").out
    assert daemon.requests[-1].body == {"data": "delete"}
    assert "/home/web" in run(daemon, "retained").out
    said = run(daemon, "retained", "web").out
    assert "5.0 MiB in 3 files" in said
    assert "eventctl remove web --data delete" in said
