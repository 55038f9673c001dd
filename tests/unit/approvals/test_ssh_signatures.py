"""Signatures by the real ssh-keygen: a key counts if allowed_signers says so, for this namespace, now, unrevoked."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from eventd.approvals.adapter_ssh_signatures import SshSignatures
from eventd.approvals.model import MAX_SIGNATURE, NAMESPACE
from eventd.kernel.model.errors import EventdError

DOCUMENT = b'{"version":1}\n'


def keygen(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run ssh-keygen."""
    return subprocess.run(
        ["ssh-keygen", "-q", *arguments], input=stdin, capture_output=True, check=True
    ).stdout


class Site:
    """Keys, and the files that say which of them count."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.allowed = folder / "allowed_signers"
        self.revoked = folder / "revoked"
        for name in ("alice", "mallory", "ca"):
            keygen("-t", "ed25519", "-N", "", "-f", str(folder / name))
        self.allow(f"alice@example.org {self.public('alice')}")
        self.revoked.write_text("")

    def public(self, name: str) -> str:
        """Return a public key's line."""
        return (self.folder / f"{name}.pub").read_text()

    def allow(self, *lines: str) -> None:
        """Set the allowed signers."""
        self.allowed.write_text("".join(lines))
        self.allowed.chmod(0o644)

    def sign(self, name: str = "alice", document: bytes = DOCUMENT, namespace: str = NAMESPACE) -> bytes:
        """Sign."""
        return keygen("-Y", "sign", "-n", namespace, "-f", str(self.folder / name), stdin=document)

    def verify(self, *, revoked: bool = False) -> SshSignatures:
        """Return the verifier."""
        return SshSignatures(
            str(self.allowed),
            revoked=str(self.revoked) if revoked else "",
            runtime=str(self.folder),
            owner=os.geteuid(),
        )


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with one allowed signer, alice."""
    tmp_path.chmod(0o755)
    return Site(tmp_path)


async def reason(site: Site, signature: bytes, document: bytes = DOCUMENT, *, revoked: bool = False) -> str:
    """Return why a signature is refused, or who signed."""
    before = set(site.folder.iterdir())
    try:
        return await site.verify(revoked=revoked)(document, signature)
    except EventdError as error:
        return error.reason
    finally:
        assert set(site.folder.iterdir()) == before, "a private folder is left"


async def test_an_allowed_signer_signs_for_exactly_one_document(site: Site) -> None:
    """Another document, another key, another namespace do not count."""
    assert await reason(site, site.sign()) == "alice@example.org"
    assert await reason(site, site.sign(), DOCUMENT + b" ") == "bad-signature"
    assert await reason(site, site.sign("mallory")) == "unknown-key"
    assert await reason(site, site.sign(namespace="git")) == "bad-signature"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (f'namespaces="{NAMESPACE}"', "alice"),
        (f'namespaces="git,{NAMESPACE}"', "alice"),
        ('namespaces="git"', "bad-signature"),
        ('valid-after="20200101"', "alice"),
        ('valid-before="20200101"', "unknown-key"),
        ('valid-after="20990101"', "unknown-key"),
    ],
)
async def test_the_options_of_a_line_count(site: Site, options: str, expected: str) -> None:
    """What ssh-keygen(1) says of ALLOWED SIGNERS is what happens."""
    site.allow(f"alice {options} {site.public('alice')}")
    assert await reason(site, site.sign()) == expected


async def test_a_certificate_of_an_allowed_authority_counts(site: Site) -> None:
    """And the principal is the certificate's."""
    site.allow(f"* cert-authority {site.public('ca')}")
    assert await reason(site, site.sign()) == "unknown-key"
    keygen("-s", f"{site.folder}/ca", "-I", "x", "-n", "alice", "-V", "-1d:+1d", f"{site.folder}/alice.pub")
    assert await reason(site, site.sign("alice-cert.pub")) == "alice"


async def test_a_revoked_key_does_not_count(site: Site) -> None:
    """As a list of keys, and as a key revocation list; a list that is missing refuses everything."""
    assert await reason(site, site.sign(), revoked=True) == "alice@example.org"
    site.revoked.write_text(site.public("alice"))
    assert await reason(site, site.sign(), revoked=True) == "bad-signature"
    site.revoked.unlink()
    keygen("-k", "-f", str(site.revoked), str(site.folder / "alice.pub"))
    assert await reason(site, site.sign(), revoked=True) == "bad-signature"
    site.revoked.unlink()
    assert await reason(site, site.sign(), revoked=True) == "no-revoked-keys"


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"-----BEGIN SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\n!!!!\n-----END SSH SIGNATURE-----\n",
        b"-----BEGIN SSH SIGNATURE-----\n" + b"A" * MAX_SIGNATURE,
        b"-----BEGIN PGP SIGNATURE-----\n",
    ],
)
async def test_what_is_no_signature_is_refused(site: Site, signature: bytes) -> None:
    """Also one that is too large to be one."""
    assert await reason(site, signature) in ("bad-signature", "unknown-key")


async def test_where_nobody_may_sign_yet_it_is_said_what_to_write(site: Site) -> None:
    """The line and the file, not the name of a manual."""
    signature = site.sign()
    site.allowed.unlink()
    with pytest.raises(EventdError) as caught:
        await site.verify()(DOCUMENT, signature)
    assert f'`NAME namespaces="approval@eventd" KEY` into {site.allowed}' in caught.value.hint


@pytest.mark.parametrize("how", ["group-writable", "link", "folder", "missing", "folder-writable", "large"])
async def test_an_allowed_signers_file_that_others_could_change_does_not_count(
    site: Site, how: str, tmp_path: Path
) -> None:
    """It is the key to everything that is held."""
    signature = site.sign()
    expected = "untrusted-allowed-signers"
    change: dict[str, Callable[[], object]] = {
        "group-writable": lambda: site.allowed.chmod(0o664),
        "folder-writable": lambda: tmp_path.chmod(0o777),
        "folder": lambda: site.allowed.rename(tmp_path / "x").with_name(site.allowed.name).mkdir(),
        "large": lambda: site.allowed.write_bytes(b"#" * ((1 << 20) + 1)),
        "missing": site.allowed.unlink,
        "link": lambda: (
            site.allowed.rename(tmp_path / "x").parent.joinpath("allowed_signers").symlink_to("x")
        ),
    }
    change[how]()
    if how in ("missing", "link"):
        expected = "no-allowed-signers"
    assert await reason(site, signature) == expected
