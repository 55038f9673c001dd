"""Git remotes as text: accepted URLs, masking of secrets, and the meaning of git's error messages.

Pure; `eventd.repository.adapter_git` runs the commands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from eventd.kernel.model.errors import EventdError, PermanentError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Iterable

_USERINFO = re.compile(r"(?<=://)[^/@\s]*@")
_HELPER = re.compile(r"[\w+.-]*::")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
# git-check-ref-format(1), and no leading dash
_BAD_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|/\.|\.lock(/|$)|^@$")


class Transport(StrEnum):
    """How a remote is reached. The value is git's name for the protocol (GIT_ALLOW_PROTOCOL in git(1))."""

    HTTPS = "https"
    HTTP = "http"
    SSH = "ssh"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Remote:
    """An accepted URL."""

    url: str
    transport: Transport
    host: str = ""
    """With `:port` if the URL has one; empty for a local path."""
    user: str = ""
    path: str = ""
    """The path on this machine, for a local remote."""

    @property
    def origin(self) -> str:
        """`https://host:port`, to which an https token is bound."""
        return f"{self.transport}://{self.host}"


def parse_remote(url: str, *, allow_http: bool = False) -> Remote:
    """Accept `https://`, `ssh://`, `user@host:path`, `file://` and absolute paths.

    Raises PermanentError(reason="bad-url" | "secret-in-url"). Helpers (`ext::…`) run commands, and `git://` and
    `http://` can be tampered with on the network: all of them are refused.
    """
    if not url or url.startswith("-") or _HELPER.match(url) or not url.isprintable() or " " in url:
        raise _bad_url(url)
    if url.startswith("/"):
        return Remote(url, Transport.FILE, path=url)
    if "://" not in url:
        place, _, path = url.partition(":")
        user, _, host = place.rpartition("@")
        if not path or not _HOST.fullmatch(host) or user.startswith("-"):
            raise _bad_url(url)
        return Remote(url, Transport.SSH, host, user)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port
    except ValueError:
        raise _bad_url(url) from None
    if parts.scheme not in tuple(Transport) or (parts.scheme == Transport.HTTP and not allow_http):
        raise _bad_url(url)
    transport = Transport(parts.scheme)
    if parts.password is not None:
        raise PermanentError(
            f"the URL {mask(url)} contains a password",
            reason="secret-in-url",
            hint="put it into the credential git-https-token and remove it from the URL",
        )
    if transport is Transport.FILE:
        path = unquote(parts.path)
        if parts.netloc not in ("", "localhost") or not path.startswith("/"):
            raise _bad_url(url)
        return Remote(url, transport, path=path)
    if not host or host.startswith("-") or (parts.username or "").startswith("-"):
        raise _bad_url(url)
    name = f"[{host}]" if ":" in host else host
    return Remote(url, transport, f"{name}:{port}" if port else name, unquote(parts.username or ""))


def _bad_url(url: str) -> PermanentError:
    shown = "".join(c if c.isprintable() else "?" for c in mask(url))
    return PermanentError(
        f"{shown!r} is not a supported URL",
        reason="bad-url",
        hint="use https://…, ssh://…, user@host:path, file:///… or an absolute path",
    )


def check_branch(branch: str) -> str:
    """Return the name, or raise PermanentError(reason="bad-branch"). Any script is allowed; refspecs are not."""
    if not branch or _BAD_BRANCH.search(branch) or not branch.isprintable():
        raise PermanentError(f"{branch!r} is not a valid branch name", reason="bad-branch")
    return branch


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without user names and passwords of URLs, and without `secrets`."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return _USERINFO.sub("***@", text)


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str
    kind: type[EventdError]
    texts: tuple[str, ...]
    message: str
    hint: str = ""


# Messages of git (LC_ALL=C.UTF-8), curl and ssh in lower case. The first matching row counts, so specific ones come
# before general ones ("Could not read from remote repository" follows every failure).
_FAILURES = (
    _Failure(
        "disk-full",
        TemporaryError,
        ("no space left on device", "disk quota exceeded"),
        "the disk is full",
        "free some space",
    ),
    _Failure(
        "repository-too-large",
        PermanentError,
        ("signal 25", "file too large"),
        "the repository exceeds the size limit",
        "raise the limit, or keep large files elsewhere",
    ),
    _Failure(
        "malformed-objects",
        PermanentError,
        ("fsck error", "fsck-objects", "invalid sha1 pointer", "bad object", "malformed"),
        "the repository has malformed objects and is refused",
        "run git fsck in it, and rewrite the commits that it lists",
    ),
    _Failure(
        "unsafe-ownership",
        PermanentError,
        ("dubious ownership",),
        "git does not trust the owner of the remote folder",
    ),
    _Failure(
        "host-key",
        PermanentError,
        ("host key verification failed", "no matching host key", "remote host identification has changed"),
        "the ssh host key of the remote is unknown or has changed",
        "verify the key of the host, then put its ssh-keyscan line into the credential git-known-hosts",
    ),
    _Failure(
        "authentication",
        PermanentError,
        (
            "authentication failed",
            "could not read username",
            "could not read password",
            "permission denied (",
            "returned error: 401",
            "returned error: 403",
            "access denied",
            "invalid credentials",
            "terminal prompts disabled",
        ),
        "the remote refuses the credentials",
        "check the deploy key (git-ssh-key) or token (git-https-token) and that it may read the repository",
    ),
    _Failure(
        "redirected",
        PermanentError,
        ("returned error: 301", "returned error: 302", "returned error: 307", "returned error: 308"),
        "the remote answers with a redirect, which is not followed",
        "configure the URL it redirects to (often the same with .git at its end)",
    ),
    _Failure(
        "certificate",
        TemporaryError,
        ("certificate", "ssl peer", "ssl connect error"),
        "the certificate of the remote is not valid",
        "check the remote's certificate and this host's clock",
    ),
    _Failure(
        "repository-missing",
        PermanentError,
        ("not found", "does not appear to be a git repository", "does not exist", "not a git repository"),
        "there is no repository at the URL, or these credentials may not see it",
        "check the URL and the credentials",
    ),
    _Failure(
        "unreadable-remote",
        PermanentError,
        ("permission denied",),
        "the fetching account may not read the remote folder",
        "give it read access to the folder, and access to the folders above",
    ),
    _Failure(
        "remote-unreachable",
        TemporaryError,
        (
            "could not resolve",
            "name resolution",
            "connection refused",
            "connection reset",
            "connection timed out",
            "connection closed",
            "timed out",
            "failed to connect",
            "couldn't connect",
            "no route to host",
            "network is unreachable",
            "early eof",
            "hung up",
            "rpc failed",
            "returned error: 5",
            "returned error: 429",
            "operation too slow",
        ),
        "the remote cannot be reached",
    ),
)


def translate(said: str, url: str, secrets: Iterable[str] = ()) -> EventdError:
    """Return the error for a failed fetch, from git's standard error."""
    lines = [line for line in mask(said, secrets).splitlines() if not line.startswith(("hint:", "warning:"))]
    shown = mask(url, secrets)
    for failure in _FAILURES:
        # The line that matches, not git's closing line.
        detail = next((line for line in lines if any(text in line.lower() for text in failure.texts)), None)
        if detail is not None:
            message = f"cannot fetch from {shown}: {failure.message} ({detail[:300]})"
            return failure.kind(message, reason=failure.reason, hint=failure.hint)
    detail = lines[0][:300] if lines else "git printed no error"
    return TemporaryError(f"cannot fetch from {shown}: {detail}", reason="fetch-failed")
