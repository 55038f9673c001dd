"""Scope: eventd.webhook.process_settings: the file, its secrets, and errors that say where and what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventd.kernel.model.errors import PermanentError
from eventd.webhook.process_settings import load

if TYPE_CHECKING:
    from pathlib import Path

HOOK = '[[hooks]]\nname = "host"\nforge = "github"\nsecret = "webhook-host"\n'


def write(folder: Path, text: str, secret: bytes = b"0123456789abcdef\n") -> str:
    """Write a configuration and its credential."""
    (folder / "webhook-host").write_bytes(secret)
    (folder / "webhook-host").chmod(0o400)
    (folder / "webhook.toml").write_text(text)
    return str(folder / "webhook.toml")


def refusal(folder: Path, text: str, secret: bytes = b"0123456789abcdef\n") -> str:
    """Return the error as it is shown."""
    with pytest.raises(PermanentError) as caught:
        load(write(folder, text, secret), credentials=str(folder))
    return str(caught.value)


def test_the_least_configuration(tmp_path: Path) -> None:
    """A name, a forge and a secret are enough; the line feed after the secret is not part of it."""
    made = load(write(tmp_path, HOOK), credentials=str(tmp_path))
    hook = made.hooks["/hooks/host"]
    assert hook.secret == b"0123456789abcdef"
    assert (hook.table.max_body, made.table.daemon) == (1 << 20, "/run/eventd/webhook.sock")


def test_a_secret_has_no_representation(tmp_path: Path) -> None:
    """Printing the settings, as a traceback may, does not show a secret."""
    assert "0123456789abcdef" not in repr(load(write(tmp_path, HOOK), credentials=str(tmp_path)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "webhook.toml: hooks: required, but missing"),
        ("hooks = []", "webhook.toml: hooks: "),
        ("hooks = 1\nx =", "webhook.toml: "),
        (HOOK + 'brnach = "main"\n', "webhook.toml:5: hooks[0].brnach: unknown key: did you mean branch?"),
        (HOOK.replace("github", "gihtub"), "webhook.toml:3: hooks[0].forge: Input should be 'github', "),
        (HOOK.replace('"host"', '"../x"'), "webhook.toml:2: hooks[0].name: "),
        (HOOK + 'path = "hooks"\n', "webhook.toml:5: hooks[0].path: "),
        (HOOK + "max_body = 1\n", "webhook.toml:5: hooks[0].max_body: "),
        (HOOK + 'secret_file = "/x"\n', "webhook.toml:1: hooks[0]: set exactly one of"),
        (HOOK.replace("secret", "#"), "webhook.toml:1: hooks[0]: set exactly one of"),
        (HOOK + HOOK, "webhook.toml: hooks[1]: another hook already has the path /hooks/host"),
        (HOOK.replace("webhook-host", "none"), "hook host: cannot read the secret none: No such file"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, says: str) -> None:
    """Each mistake is told with file, key and finding."""
    assert says in refusal(tmp_path, text)


def test_a_secret_pasted_into_the_file_is_not_repeated(tmp_path: Path) -> None:
    """Who writes the secret itself where its name belongs does not find it in the journal."""
    assert "my secret!" not in refusal(tmp_path, HOOK.replace("webhook-host", "my secret!"))


def test_bad_secrets(tmp_path: Path) -> None:
    """An empty secret, and one that everybody can read, are refused."""
    assert "is empty" in refusal(tmp_path, HOOK, b"\n")
    path = write(tmp_path, HOOK)
    (tmp_path / "webhook-host").chmod(0o444)
    with pytest.raises(PermanentError, match="world-readable"):
        load(path, credentials=str(tmp_path))


def test_no_credentials_directory(tmp_path: Path) -> None:
    """Outside its unit, the error says how to try it."""
    with pytest.raises(PermanentError, match="LoadCredential"):
        load(write(tmp_path, HOOK), credentials=None)


def test_no_file(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(PermanentError, match="No such file"):
        load(str(tmp_path / "none.toml"), credentials=None)
