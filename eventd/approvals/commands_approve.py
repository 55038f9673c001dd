"""`eventctl approve ID`: sign a request with an SSH key, or submit a signature that was made elsewhere.

The private key stays with this process's ssh-keygen (or the agent, or the security key); the daemon gets the signature.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventd.approvals import commands_approvals as approvals_command
from eventd.approvals.model import MAX_DOCUMENT, MAX_SIGNATURE
from eventd.cli import codes
from eventd.cli.text import clean
from eventd.client import Client, at
from eventd.kernel.model.errors import PermanentError

if TYPE_CHECKING:
    from eventd.cli.show import Json
    from eventd.cli.terminal import Terminal

TIMEOUT = 300.0
"""Seconds that a person has to type a passphrase or touch a key."""


def run(arguments: Any, terminal: Terminal) -> int:
    """Show the request, sign it, submit the signature."""
    if bool(arguments.key) == bool(arguments.signature):
        raise PermanentError(
            "give either --key or --signature", reason="usage", hint="eventctl approve --help has examples"
        )
    client = Client(arguments.socket)
    row: Json = client.get(at("approvals", arguments.id))
    body: Json = {}
    if arguments.signature:
        body["signature"] = _read(arguments.signature, MAX_SIGNATURE)
        if arguments.document:
            body["document"] = _read(arguments.document, MAX_DOCUMENT)
    else:
        if not arguments.json:
            approvals_command.one(terminal, row)
            terminal.out.flush()
        if not arguments.yes and not approvals_command.confirmed(arguments, terminal, "sign this?"):
            terminal.notice("not signed")
            return codes.NOT_CONVERGED
        body["signature"] = sign(
            str(row.get("document", "")), arguments.key, approvals_command.namespace(row)
        )
    done: Json = client.post(at("approvals", str(row.get("id", arguments.id)), "signature"), body)
    if arguments.json:
        terminal.json(done)
    else:
        identity = clean(done.get("id", ""))
        terminal.line(f"{identity} is approved by {clean(done.get('signer', ''))}")
        terminal.line(f"it is carried out now; eventctl approvals {identity} shows the result")
    return codes.AS_WANTED


def sign(document: str, key: str, namespace: str) -> str:
    """Return a signature made by ssh-keygen, which prompts for what it needs (passphrase, touch).

    `key` may be a private key, or a public one whose private key is in the ssh-agent or in a security key.
    """
    path = Path(key).expanduser()
    if not path.exists():
        raise PermanentError(
            f"the key {path} does not exist", reason="no-key", hint="--key FILE, private or public"
        )
    try:
        done = subprocess.run(
            ["ssh-keygen", "-q", "-Y", "sign", "-f", str(path), "-n", namespace],
            input=document.encode(),
            stdout=subprocess.PIPE,
            timeout=TIMEOUT,
            check=False,
        )
    except FileNotFoundError as error:
        raise PermanentError(
            "ssh-keygen is not installed", reason="command-missing", hint="install openssh-client"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise PermanentError(f"ssh-keygen did not sign within {TIMEOUT:g} s", reason="not-signed") from error
    if done.returncode != 0 or not done.stdout:
        raise PermanentError(
            "ssh-keygen did not sign the document",
            reason="not-signed",
            hint="see its message above; for a key in the agent, pass the public key: --key KEY.pub",
        )
    return done.stdout.decode("ascii", "replace")


def _read(path: str, limit: int) -> str:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise PermanentError(f"cannot read {path}: {error.strerror}", reason="unreadable") from error
    if len(content) > limit:
        raise PermanentError(f"{path} has more than {limit} bytes", reason="too-large")
    return content.decode("utf-8", "replace")
