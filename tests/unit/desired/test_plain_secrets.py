"""Scope: passwords in plain text and root's container socket: told with their place, never with their value."""

from __future__ import annotations

import pytest

from eventd.desired.model_plain_secrets import is_secret
from eventd.kernel.model.diagnostics import Diagnostic
from tests.unit.desired.trees import container, in_web

CANARY = "hunter2-canary"


def found(files: dict[str, str]) -> list[Diagnostic]:
    """Return the findings of one workload; none may show a value."""
    result = in_web(files)
    assert not result.refused, result.refused
    assert CANARY not in str(result.diagnostics)
    return [each for each in result.diagnostics if each.code in ("plain-secret", "docker-socket")]


@pytest.mark.parametrize(
    ("key", "value", "secret"),
    [
        ("POSTGRES_PASSWORD", "x", True),
        ("db_password", "x", True),
        ("API_KEY", "x", True),
        ("APIKEY", "x", True),
        ("GITHUB_TOKEN", "x", True),
        ("SECRET_KEY", "x", True),
        ("MYSQL_PWD", "x", True),
        ("PWD", "/srv", False),
        ("POSTGRES_PASSWORD_FILE", "x", False),
        ("POSTGRES_PASSWORD", "/run/secrets/db", False),
        ("POSTGRES_PASSWORD", "${DB_PASSWORD}", False),
        ("POSTGRES_PASSWORD", "", False),
        ("ENABLE_TOKEN", "true", False),
        ("KEYBOARD", "us", False),
        ("TOKENIZER", "bpe", False),
        ("COMPASS", "north", False),
    ],
)
def test_what_is_taken_for_a_secret(key: str, value: str, *, secret: bool) -> None:
    """Names of variables decide; a path, a variable or a switch is no secret."""
    assert is_secret(key, value) is secret


def test_secrets_are_told_wherever_they_stand() -> None:
    """In [Container], in [Service] of a companion, and in both forms of a compose file's environment."""
    quadlet = found(
        {
            "a.container": container(
                f'Environment=USER=x "DB_PASSWORD={CANARY}"', f"Environment=TOKEN={CANARY}"
            ),
            "b.service": f"[Service]\nExecStart=/bin/true\nEnvironment=API_KEY={CANARY}\n",
        }
    )
    assert [(each.file.rpartition("/")[2], each.line) for each in quadlet] == [
        ("a.container", 3),
        ("a.container", 4),
        ("b.service", 3),
    ]
    mapping = f"services:\n  a:\n    image: x\n    environment:\n      DB_PASSWORD: {CANARY}\n      TZ: UTC\n"
    sequence = (
        f"services:\n  a:\n    image: x\n    environment:\n      - DB_PASSWORD={CANARY}\n      - API_KEY\n"
    )
    for text in (mapping, sequence):
        (finding,) = found({"compose.yaml": text})
        assert (finding.line, finding.code) == (5, "plain-secret")


def test_roots_container_socket_is_told() -> None:
    """A workload's account cannot open it; its own podman socket is named instead."""
    (volume,) = found({"a.container": container("Volume=/var/run/docker.sock:/var/run/docker.sock:ro")})
    assert "%t/podman/podman.sock" in volume.hint
    (mount,) = found({"a.container": container("Mount=type=bind,source=/run/docker.sock,target=/x")})
    assert (mount.code, mount.line) == ("docker-socket", 3)
    text = "services:\n  a:\n    image: x\n    volumes:\n      - /var/run/docker.sock:/var/run/docker.sock\n"
    (stack,) = found({"compose.yaml": text})
    assert (stack.line, stack.code) == (5, "docker-socket")
    assert found({"a.container": container("Volume=%t/podman/podman.sock:/var/run/docker.sock")}) == []
