"""Scope: eventd.repository.adapter_git_remote: URLs, branch names, what is shown, and what git's messages mean."""

from __future__ import annotations

import pytest

from eventd.kernel.model.errors import PermanentError, TemporaryError
from eventd.repository.adapter_git_remote import Transport, check_branch, mask, parse_remote, translate


@pytest.mark.parametrize(
    ("url", "transport", "host", "user", "path"),
    [
        ("https://forge.example/team/host.git", Transport.HTTPS, "forge.example", "", ""),
        ("https://bot@forge.example:8443/x", Transport.HTTPS, "forge.example:8443", "bot", ""),
        ("https://[2001:db8::1]:8443/x", Transport.HTTPS, "[2001:db8::1]:8443", "", ""),
        ("ssh://git@forge.example:2222/x.git", Transport.SSH, "forge.example:2222", "git", ""),
        ("git@forge.example:team/host@2.git", Transport.SSH, "forge.example", "git", ""),
        ("forge:host.git", Transport.SSH, "forge", "", ""),
        ("/srv/git/host.git", Transport.FILE, "", "", "/srv/git/host.git"),
        ("file:///srv/a%20b.git", Transport.FILE, "", "", "/srv/a b.git"),
    ],
)
def test_accepted_urls(url: str, transport: Transport, host: str, user: str, path: str) -> None:
    """Each accepted form is taken apart."""
    remote = parse_remote(url)
    assert (remote.transport, remote.host, remote.user, remote.path) == (transport, host, user, path)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ext::sh -c touch% /tmp/x",
        "ext::true",
        "fd::17",
        "transport::address",
        "-oProxyCommand=x",
        "ssh://-oProxyCommand=x/y",
        "-x@host:path",
        "git@-oProxyCommand:path",
        "git://forge.example/x",
        "http://forge.example/x",
        "ftp://forge.example/x",
        "file://otherhost/x",
        "relative/path",
        "../x",
        "https:///x",
        "https://host:port/x",
        "https://host/a b",
        "https://host/a\nb",
        "host:",
        ":path",
    ],
)
def test_refused_urls(url: str) -> None:
    """Helpers that run commands, options in disguise, and unprotected transports are refused."""
    with pytest.raises(PermanentError) as caught:
        parse_remote(url)
    assert caught.value.reason == "bad-url"


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    """The error says where the secret belongs, and does not show it."""
    with pytest.raises(PermanentError) as caught:
        parse_remote("https://bot:hunter2@forge.example/x")
    assert caught.value.reason == "secret-in-url"
    assert "hunter2" not in str(caught.value)
    assert "git-https-token" in caught.value.hint


def test_masking() -> None:
    """User names and passwords in URLs, and known secrets, are not shown."""
    assert mask("fatal: 'https://u:p@h/x' and ssh://git@h/y") == "fatal: 'https://***@h/x' and ssh://***@h/y"
    assert mask("token s3cret seen", ("s3cret", "")) == "token *** seen"


@pytest.mark.parametrize("name", ["main", "feature/x", "größe", "日本", "a.b", "v1-2_3", "x@y", "+a"])
def test_branch_names(name: str) -> None:
    """Ordinary names of any script pass."""
    assert check_branch(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "-f", "a b", "a..b", "a~1", "a^", "a:b", "a*", "a[", "a\\b", "a@{1}", "/a", "a/", "a//b"),
        *("a.lock", ".a", "a/.b", "a.lock/b", "@", "a\n", "a\x7f", "a."),
    ],
)
def test_bad_branch_names(name: str) -> None:
    """What git refuses as a branch, and what would be a refspec or an option, is refused here."""
    with pytest.raises(PermanentError) as caught:
        check_branch(name)
    assert caught.value.reason == "bad-branch"


@pytest.mark.parametrize(
    ("said", "kind", "reason"),
    [
        (
            "fatal: unable to access 'U': Could not resolve host: forge.example",
            TemporaryError,
            "remote-unreachable",
        ),
        (
            "ssh: Could not resolve hostname forge: Temporary failure in name resolution\n"
            "fatal: Could not read from remote repository.\n\n"
            "Please make sure you have the correct access rights\n"
            "and the repository exists.",
            TemporaryError,
            "remote-unreachable",
        ),
        (
            "ssh: connect to host f port 22: Connection refused\nfatal: Could not read",
            TemporaryError,
            "remote-unreachable",
        ),
        (
            "kex_exchange_identification: Connection closed by remote host",
            TemporaryError,
            "remote-unreachable",
        ),
        ("fatal: the remote end hung up unexpectedly", TemporaryError, "remote-unreachable"),
        (
            "fatal: unable to access 'U': The requested URL returned error: 503",
            TemporaryError,
            "remote-unreachable",
        ),
        ("git@f: Permission denied (publickey).\nfatal: Could not read", PermanentError, "authentication"),
        (
            "fatal: could not read Username for 'U': terminal prompts disabled",
            PermanentError,
            "authentication",
        ),
        ("fatal: Authentication failed for 'U'", PermanentError, "authentication"),
        (
            "fatal: unable to access 'U': The requested URL returned error: 403",
            PermanentError,
            "authentication",
        ),
        ("Host key verification failed.\nfatal: Could not read", PermanentError, "host-key"),
        ("remote: Not Found\nfatal: repository 'U' not found", PermanentError, "repository-missing"),
        ("fatal: unable to access 'U': The requested URL returned error: 301", PermanentError, "redirected"),
        (
            "fatal: unable to access 'U': server certificate verification failed. CAfile: none",
            TemporaryError,
            "certificate",
        ),
        ("error: inflate: no space left on device", TemporaryError, "disk-full"),
        ("error: index-pack died of signal 25", PermanentError, "repository-too-large"),
        (
            "error: object 12: badTimezone\nfatal: fsck error in packed object",
            PermanentError,
            "malformed-objects",
        ),
        ("something new", TemporaryError, "fetch-failed"),
        ("", TemporaryError, "fetch-failed"),
    ],
)
def test_what_git_says_is_classified(said: str, kind: type, reason: str) -> None:
    """Each kind of failure has its class and its stable name."""
    error = translate(said, "https://bot:pw@forge.example/x")
    assert (type(error), error.reason) == (kind, reason)
    assert "pw" not in str(error)


def test_the_line_that_says_it_is_shown() -> None:
    """Of ssh's and git's lines the one with the cause is quoted, without secrets."""
    said = "hint: x\nssh: connect to s3cret: Connection refused\nfatal: Could not read"
    error = translate(said, "ssh://f/x", ("s3cret",))
    assert "ssh: connect to ***: Connection refused" in str(error)
