"""Scope: eventd.mounts.adapter_mountinfo on texts, and with eventd.mounts.source on a real mount namespace."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from eventd.kernel.model.errors import PermanentError
from eventd.kernel.model.events import KernelEvent
from eventd.mounts.adapter_mountinfo import MountTable, Row, parse_row, reachable
from eventd.mounts.model_events import MountEvent, MountOrigin
from eventd.mounts.model_facts import MountFact, MountState
from eventd.mounts.source import MountsSource
from tests.unit.kernel.recorder import Recorder

ROOT = b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro"


def rows(*lines: bytes) -> list[Row]:
    found = [parse_row(line) for line in lines]
    return [row for row in found if row is not None]


def points(*lines: bytes) -> dict[str, str]:
    """Return what is reachable: point -> source."""
    return {point: state.source for point, state in reachable(rows(*lines)).items()}


def test_a_row_is_read_with_and_without_optional_fields() -> None:
    """The number of fields before the dash varies, those after it are found all the same."""
    row = parse_row(ROOT)
    assert row is not None
    assert row.state == MountState("/", "/dev/sda1", "ext4", "rw,relatime,errors=remount-ro", "8:1")
    bare = parse_row(b"30 21 0:26 / /run rw,nosuid - tmpfs tmpfs rw,size=1k")
    tagged = parse_row(
        b"30 21 0:26 / /run rw,nosuid shared:3 master:1 propagate_from:2 - tmpfs tmpfs rw,size=1k"
    )
    assert bare == tagged
    assert bare is not None
    assert bare.state.options == "rw,nosuid,size=1k"


@pytest.mark.parametrize(
    ("mount", "filesystem", "options"),
    [(b"ro", b"rw", "ro"), (b"rw", b"ro", "ro"), (b"rw,ro", b"rw", "ro"), (b"rw", b"rw", "rw")],
)
def test_read_only_is_what_either_says(mount: bytes, filesystem: bytes, options: str) -> None:
    """A read-only bind of a writable file system is read-only, and the other way round."""
    row = parse_row(b"30 21 0:26 / /x " + mount + b" - tmpfs t " + filesystem)
    assert row is not None
    assert row.state.options == options


@pytest.mark.parametrize(
    ("escaped", "path"),
    [
        (rb"/srv/a\040b", "/srv/a b"),
        (rb"/srv/\011tab\012line", "/srv/\ttab\nline"),
        (rb"/srv/back\134040slash", "/srv/back\\040slash"),
        (rb"/srv/\043hash", "/srv/#hash"),
        ("/srv/ü".encode(), "/srv/ü"),
        (b"/srv/\xff", os.fsdecode(b"/srv/\xff")),
        (b"/srv/return\r", "/srv/return\r"),
    ],
)
def test_escapes_are_undone_once(escaped: bytes, path: str) -> None:
    """Octal escapes stand for one byte each, and what comes out is not escaped again."""
    row = parse_row(b"30 21 0:26 / " + escaped + b" rw - tmpfs t rw")
    assert row is not None
    assert row.state.point == path


@pytest.mark.parametrize(
    "line", [b"", b"nonsense", b"30 21 0:26 / /x rw", b"a b c d e f - g h i", b"1 2 3 4 5 - x y"]
)
def test_what_is_no_row_is_left_out(line: bytes) -> None:
    """A line that cannot be understood is not a mount."""
    assert parse_row(line) is None


def test_the_mount_on_top_counts() -> None:
    """Of two mounts on one point, the later is a child of the earlier, wherever it stands in the file."""
    below = b"30 21 0:26 / /srv rw - tmpfs below rw"
    above = b"31 30 0:27 / /srv rw - tmpfs above rw"
    assert points(ROOT, below, above)["/srv"] == "above"
    assert points(ROOT, above, below)["/srv"] == "above"


def test_what_is_covered_is_not_there() -> None:
    """A mount below a folder that was mounted over later cannot be reached, though the table has it."""
    photos = b"30 21 0:26 / /srv/photos rw - tmpfs photos rw"
    srv = b"31 21 0:27 / /srv rw - tmpfs srv rw"
    assert points(ROOT, photos, srv) == {"/": "/dev/sda1", "/srv": "srv"}
    inside = b"32 31 0:28 / /srv/photos rw - tmpfs inside rw"
    assert points(ROOT, photos, srv, inside)["/srv/photos"] == "inside"


def test_children_of_a_covered_mount_are_covered() -> None:
    """What hangs on a mount that another was stacked on is out of reach, too; a neighbour is not."""
    below = b"30 21 0:26 / /srv rw - tmpfs below rw"
    child = b"31 30 0:27 / /srv/photos rw - tmpfs child rw"
    above = b"32 30 0:28 / /srv rw - tmpfs above rw"
    neighbour = b"33 21 0:29 / /srv2 rw - tmpfs neighbour rw"
    found = points(ROOT, below, child, above, neighbour)
    assert found == {"/": "/dev/sda1", "/srv": "above", "/srv2": "neighbour"}


def test_an_automount_point_is_no_mount_until_something_is_behind_it() -> None:
    """Autofs on a folder means that it would be mounted if somebody looked."""
    trigger = b"30 21 0:26 / /srv/photos rw - autofs systemd-1 rw"
    assert "/srv/photos" not in points(ROOT, trigger)
    real = b"31 30 8:2 / /srv/photos rw - ext4 /dev/sdb1 rw"
    assert points(ROOT, trigger, real)["/srv/photos"] == "/dev/sdb1"


def test_an_automount_point_over_a_mount_hides_it() -> None:
    """Who looks there now gets what autofs mounts, which is nothing yet."""
    old = b"30 21 8:2 / /srv/photos rw - ext4 /dev/sdb1 rw"
    trigger = b"31 30 0:26 / /srv/photos rw - autofs systemd-1 rw"
    assert "/srv/photos" not in points(ROOT, old, trigger)


def test_a_table_with_a_loop_in_it_ends() -> None:
    """A mount that names itself as its parent (the root of an initramfs does) is a root."""
    assert points(b"1 1 0:2 / / rw - rootfs rootfs rw") == {"/": "rootfs"}


def test_without_a_table_it_says_so() -> None:
    """Where neither table can be opened, the error says which and why."""
    with pytest.raises(PermanentError) as caught:
        MountTable(("/nonexistent/mountinfo",))
    assert caught.value.reason == "no-mount-table"


# A mount namespace of the test's own, where it may have one without being root.

_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def _may_unshare() -> bool:
    try:
        return (
            subprocess.run([*_NAMESPACE, "true"], check=False, capture_output=True, timeout=60).returncode
            == 0
        )
    except FileNotFoundError:
        return False


needs_namespace = pytest.mark.skipif(not _may_unshare(), reason="user namespaces are not allowed here")


class Namespace:
    """A shell in a mount namespace of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._shell = subprocess.Popen(
            [*_NAMESPACE, "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.run("true")  # it has entered its namespace

    @property
    def table(self) -> str:
        return f"/proc/{self._shell.pid}/mountinfo"

    def run(self, script: str) -> None:
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"{script}\necho $?\n")
        assert self._shell.stdout.readline().strip() == "0", script

    def mount(self, point: Path) -> None:
        self.run(f"mount -t tmpfs tmpfs '{point}'")

    def close(self) -> None:
        with self._shell:
            assert self._shell.stdin is not None
            self._shell.stdin.close()


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Namespace]:
    made = Namespace(tmp_path)
    yield made
    made.close()


@asynccontextmanager
async def running(source: MountsSource) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        await group.start(source.run)
        yield
        group.cancel_scope.cancel()


@needs_namespace
async def test_mounts_are_read_first_and_then_told(namespace: Namespace) -> None:
    """What is mounted already is a fact when the source has started; what comes and goes is an event each."""
    before, after = namespace.folder / "before", namespace.folder / "after with space"
    before.mkdir()
    after.mkdir()
    namespace.mount(before)
    emit, told = Recorder(), list[list[str]]()
    source = MountsSource(emit, tables=(namespace.table,), changed=lambda points: told.append(list(points)))
    async with running(source):
        assert emit.kinds() == [KernelEvent.READ, KernelEvent.SOURCE]
        assert isinstance(emit.fact(MountFact.MOUNT, before), MountState)
        assert emit.fact(MountFact.MOUNT, after) is None
        namespace.mount(after)
        await emit.until(lambda: emit.fact(MountFact.MOUNT, after) is not None)
        assert (emit.seen[-1].origin, emit.seen[-1].kind) == (MountOrigin.KERNEL, MountEvent.MOUNT)
        assert emit.seen[-1].subject == str(after)
        namespace.run(f"mount -o remount,ro '{after}'")
        await emit.until(lambda: "ro," in getattr(emit.fact(MountFact.MOUNT, after), "options", ""))
        namespace.run(f"umount '{after}'")
        await emit.until(lambda: emit.fact(MountFact.MOUNT, after) is None)
        assert emit.fact(MountFact.MOUNT, before) is not None
    assert str(before) in told[0]
    assert told[1:] == [[str(after)]] * 3


@needs_namespace
async def test_what_was_mounted_while_it_was_down_is_told_on_its_return(namespace: Namespace) -> None:
    """The facts as well as the points: who looks at paths there has looked at what is hidden now."""
    point = namespace.folder / "point"
    point.mkdir()
    emit, told = Recorder(), list[list[str]]()
    source = MountsSource(emit, tables=(namespace.table,), changed=lambda points: told.append(list(points)))
    async with running(source):
        told.clear()
    namespace.mount(point)
    async with running(source):
        assert emit.fact(MountFact.MOUNT, point) is not None
        assert told == [[str(point)]]


@needs_namespace
async def test_no_change_is_lost_in_a_storm(namespace: Namespace) -> None:
    """Many changes at once are told as fewer signals, and end in the right facts."""
    folders = [namespace.folder / f"m{number}" for number in range(40)]
    for folder in folders:
        folder.mkdir()
    emit = Recorder()
    async with running(MountsSource(emit, tables=(namespace.table,))):
        for _ in range(3):
            for folder in folders:
                namespace.mount(folder)
                await asyncio.sleep(0)  # the source runs in between
            for folder in folders[::2]:
                namespace.run(f"umount '{folder}'")
            for folder in folders[1::2]:
                namespace.run(f"umount '{folder}'; mount -t tmpfs tmpfs '{folder}'")
            await emit.until(
                lambda: [emit.fact(MountFact.MOUNT, f) is not None for f in folders] == [False, True] * 20
            )
            for folder in folders[1::2]:
                namespace.run(f"umount '{folder}'")
        await emit.until(lambda: all(emit.fact(MountFact.MOUNT, folder) is None for folder in folders))


@needs_namespace
async def test_an_idle_table_costs_nothing(namespace: Namespace) -> None:
    """The signal is taken away by reading: the loop is not woken over and over after one change."""
    emit = Recorder()
    async with running(MountsSource(emit, tables=(namespace.table,))):
        folder = namespace.folder / "x"
        folder.mkdir()
        namespace.mount(folder)
        await emit.until(lambda: emit.fact(MountFact.MOUNT, folder) is not None)
        before = os.times().user + os.times().system
        await asyncio.sleep(0.3)
        assert os.times().user + os.times().system - before < 0.15
        assert len(emit.seen) == 3


@needs_namespace
async def test_a_table_that_is_read_afresh_is_so_when_that_returns(namespace: Namespace) -> None:
    """Whatever the kernel has signalled; a source that does not run reads nothing, and nobody waits for it."""
    point = namespace.folder / "point"
    point.mkdir()
    emit = Recorder()
    source = MountsSource(emit, tables=(namespace.table,))
    await source.reread()
    async with running(source):
        namespace.mount(point)
        await source.reread()
        assert emit.fact(MountFact.MOUNT, point) is not None
    await source.reread()
