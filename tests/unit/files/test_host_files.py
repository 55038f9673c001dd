"""Scope: files of this host that a workload names: who may read them, by mode, group, folders and ACL."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

import pytest

from eventd.files import commands_host_files as host_files
from eventd.files.model_host_files import Place, Reader, unreadable
from eventd.files.model_named import PROVIDER
from tests.unit.desired.trees import desired

KEY = "/etc/tls/key.pem"
UNIT = f"[Container]\nImage=localhost/busybox:1\nVolume={KEY}:/key:ro\n"
ME, GROUP = 1005, 1005


def acl(*rows: tuple[int, int, int]) -> bytes:
    """Return the value of system.posix_acl_access."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *row) for row in rows)


def key(
    mode: int = 0o600, uid: int = 0, gid: int = 0, rows: bytes = b"", folder: int = 0o755
) -> tuple[Place, ...]:
    """Return the way to the key."""
    return (
        Place("/", stat.S_IFDIR | 0o755, 0, 0),
        Place("/etc/tls", stat.S_IFDIR | folder, 0, 0),
        Place(KEY, stat.S_IFREG | mode, uid, gid, rows),
    )


ANY = 0xFFFFFFFF
BASE = ((0x01, 6, ANY), (0x04, 0, ANY), (0x20, 0, ANY))
CASES = [
    (key(0o600), ME, "setfacl -m u:web:r /etc/tls/key.pem (package acl); or chgrp web /etc/tls/key.pem && chmod g+r"),
    (key(0o644), ME, None),
    (key(0o640, gid=GROUP), ME, None),
    (key(0o640, gid=7), ME, "mode 0640"),
    (key(0o604, gid=GROUP), ME, "mode 0604"),
    (key(0o400, uid=ME), ME, None),
    (key(0o044, uid=ME), ME, "mode 0044"),
    (key(0o644, folder=0o700), ME, "u:web:x /etc/tls (package acl); or chmod o+x /etc/tls; or"),
    (key(0o600, folder=0o700), ME, "u:web:x /etc/tls && setfacl -m u:web:r /etc/tls/key.pem"),
    (key(0o644)[:2], ME, None),
    (key(0o644, folder=0o700)[:2], ME, "setfacl -m u:web:x /etc/tls"),
    ((), ME, None),
    (key(0o640, rows=acl(*BASE, (0x02, 4, ME), (0x10, 4, ANY))), ME, None),
    (key(0o600, rows=acl(*BASE, (0x02, 4, ME), (0x10, 0, ANY))), ME, "mode 0600"),
    (key(0o640, rows=acl(*BASE, (0x08, 4, GROUP), (0x10, 4, ANY))), ME, None),
    (key(0o640, rows=acl(*BASE, (0x02, 4, 33), (0x10, 4, ANY))), ME, "mode 0640"),
    (key(0o600), None, "once the first run has created the account: setfacl"),
    (key(0o640, gid=GROUP), None, "the account that will be created for web"),
    (key(0o644), None, None),
]  # fmt: skip


@pytest.mark.parametrize(("way", "uid", "says"), CASES)
def test_who_may_read_is_judged_as_the_kernel_does(
    way: tuple[Place, ...], uid: int | None, says: str | None
) -> None:
    """Owner before group before others, the list's mask, and every folder on the way."""
    web = desired({"workloads/web/web.container": UNIT}).workloads["web"]
    reader = Reader(uid, frozenset({GROUP} if uid is not None else ()))
    found = list(unreadable(web, reader, {KEY: way}))
    assert [(each.code, each.line) for each in found] == ([] if says is None else [("unreadable-file", 3)])
    assert all(says is not None and says in str(each) for each in found)


NAMING = [
    {"web.container": f"[Container]\nImage=x\nMount=type=bind,source={KEY},target=/k,ro\n"},
    {"web.container": f"[Container]\nImage=x\nEnvironmentFile={KEY}\n"},
    {"web.container": f"[Container]\nImage=x\n[Service]\nLoadCredential=tls:{KEY}\n"},
    {"web.container": f"[Container]\nImage=x\n[Service]\nEnvironmentFile=-{KEY}\n"},
    {"compose.yaml": f"services:\n  a:\n    image: x\n    volumes: ['{KEY}:/k:ro']\n"},
    {"compose.yaml": f"services:\n  a:\n    image: x\n    env_file: ['{KEY}']\n"},
]


@pytest.mark.parametrize("files", NAMING)
def test_every_way_to_name_a_file_counts(files: dict[str, str]) -> None:
    """Quadlet's mounts, systemd's credentials and environment, and a stack's; told once, where it is written."""
    web = desired({f"workloads/web/{name}": text for name, text in files.items()}).workloads["web"]
    (finding,) = unreadable(web, Reader(ME), {KEY: key()})
    assert finding.file == f"workloads/web/{next(iter(files))}"
    assert finding.line


def test_a_socket_and_the_compose_program_are_not_judged() -> None:
    """What is written to is its owner's business, and the program is the host's own."""
    web = desired({"workloads/web/web.container": UNIT}).workloads["web"]
    socket = (*key()[:2], Place(KEY, stat.S_IFSOCK | 0o600, 0, 0))
    assert not list(unreadable(web, Reader(ME), {KEY: socket}))
    stack = desired({"workloads/web/compose.yaml": "services:\n  a:\n    image: x\n"}).workloads["web"]
    (provider,) = [each.path for unit in stack.units for each in unit.named if each.key == PROVIDER]
    assert not list(unreadable(stack, Reader(ME), {provider: key()}))


def test_the_way_is_looked_at_through_links(tmp_path: Path) -> None:
    """Each folder that is passed, of the link and of what it leads to; nothing where the end is missing."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    (real / "key").write_text("x")
    (real / "key").chmod(0o600)
    link.symlink_to("real")
    way = host_files.way(f"{link}/../link/key")
    assert [way[0].path, way[-1].path] == ["/", f"{real}/key"]
    assert str(tmp_path) in [each.path for each in way]
    assert (stat.S_IMODE(way[-1].mode), way[-1].uid) == (0o600, os.geteuid())
    assert host_files.way(f"{link}/none") == ()
    (tmp_path / "loop").symlink_to("loop")
    assert host_files.way(f"{tmp_path}/loop") == ()
