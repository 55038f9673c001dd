"""What `eventd-volume` does with trees: comparing two of them, deleting one, and finding out who has files open."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from eventd.storage.volume import emptying, holders, moving, points
from eventd.storage.volume.places import Refused


def make(root: Path) -> Path:
    """Make a tree with some of everything."""
    (root / "deep/er").mkdir(parents=True)
    (root / "deep/er/file").write_bytes(b"x" * 100_000)
    os.link(root / "deep/er/file", root / "hard")
    (root / "link").symlink_to("../../nowhere")
    (root / "a name\nwith a line").write_text("")
    os.mkfifo(root / "fifo")
    return root


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """Return a tree and a faithful copy of it."""
    old = make(tmp_path / "old")
    subprocess.run(["cp", "--archive", old, tmp_path / "new"], check=True)
    return old, tmp_path / "new"


def test_a_faithful_copy_is_the_same(two: tuple[Path, Path]) -> None:
    """It says how many were compared; lost+found is nobody's data."""
    old, new = two
    (old / "lost+found").mkdir()
    os.utime(old, ns=(1, 1))
    os.utime(new, ns=(1, 1))
    assert moving.verify(str(old), str(new)) == {"files": 8}


def _byte(new: Path) -> None:
    times = (new / "hard").stat()
    with (new / "hard").open("r+b") as file:
        file.seek(5000)
        file.write(b"y")
    os.utime(new / "hard", ns=(times.st_atime_ns, times.st_mtime_ns))


def _unlinked(new: Path) -> None:
    shutil.copy2(new / "hard", new / "copy")
    (new / "copy").replace(new / "hard")


def _relinked(new: Path) -> None:
    (new / "link").unlink()
    (new / "link").symlink_to("../../elsewhere")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_byte, "content"),
        (_unlinked, "hard links"),
        (_relinked, "link"),
        (lambda new: (new / "hard").chmod(0o600), "mode"),
        (
            lambda new: os.chown(new / "fifo", 1234, 0) if os.geteuid() == 0 else pytest.skip("not root"),
            "owner",
        ),
        (lambda new: os.utime(new / "deep", ns=(1, 1)), "time"),
        (lambda new: (new / "fifo").unlink(), "missing"),
        (lambda new: (new / "deep/more").write_text(""), "which the original does not have"),
    ],
    ids=["content", "hard links", "symlink", "mode", "owner", "time", "missing", "more"],
)
def test_each_difference_is_found_and_named(
    two: tuple[Path, Path], change: Callable[[Path], object], why: str
) -> None:
    """One byte is enough, though size and time are the same."""
    old, new = two
    change(new)
    for path in (old, old / "deep", new, new / "deep"):
        if why != "time":
            os.utime(path, ns=(1, 1))
    with pytest.raises(Refused) as found:
        moving.verify(str(old), str(new))
    assert found.value.reason == "not-the-same"
    assert why in found.value.message


def test_a_tree_is_deleted_without_following_anything(tmp_path: Path) -> None:
    """Nor is its depth a matter."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    top = tmp_path / "disk/draft"
    make(top)
    (top / "deep/escape").symlink_to(outside)
    os.link(outside / "precious", top / "deep/hard")
    deep = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(2000):
        os.mkdir("d", dir_fd=deep)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    (tmp_path / "disk/other").write_text("stays")
    emptying.discard(str(tmp_path / "disk"), "draft")
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["other"]
    assert (outside / "precious").read_text() == "precious"
    assert emptying.discard(str(tmp_path / "disk"), "draft") == {}


@pytest.mark.skipif(os.geteuid() != 0, reason="makes mounts")
def test_what_is_mounted_in_a_tree_is_not_deleted_with_it(tmp_path: Path) -> None:
    """Also a folder of the same disk that is mounted there by another path: its device tells nothing."""
    (tmp_path / "disk/draft/inner").mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("stays")
    script = """
mount --bind "$1/precious" "$1/disk/draft/inner"
"$2" -c '
import sys
from eventd.storage.volume import emptying, places
try:
    emptying.discard(sys.argv[1], "draft")
except places.Refused as error:
    print(error.reason)' "$1/disk"
"""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script, "sh", str(tmp_path)]
    done = subprocess.run([*command, sys.executable], capture_output=True, text=True, timeout=60, check=False)
    assert (tmp_path / "precious/file").exists()
    assert (done.stdout.split(), done.returncode) == (["mounted"], 0), done.stderr


def test_what_is_no_mount_is_never_emptied(tmp_path: Path) -> None:
    """A disk that is gone must not have the folder beneath emptied."""
    make(tmp_path / "folder")
    with pytest.raises(Refused) as found:
        emptying.empty(str(tmp_path / "folder"), "lost+found")
    assert found.value.reason == "not-mounted"
    assert (tmp_path / "folder/hard").exists()


def _number(path: Path) -> str:
    device = path.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


@pytest.mark.parametrize("how", ["cwd", "open file"])
def test_who_keeps_a_file_system_busy_is_found_by_what_it_has_open(how: str) -> None:
    """By the device's number, with the process's own name and never its arguments."""
    folder = Path("/dev/shm")
    if _number(folder) == _number(Path("/")):
        pytest.skip("/dev/shm is no file system of its own")
    held = folder / f"eventd-test-{os.getpid()}"
    held.write_text("")
    script = "import sys; print('ready', flush=True); sys.stdin.read()"
    with held.open() as file:
        process = subprocess.Popen(
            [sys.executable, "-c", script, "secret"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder if how == "cwd" else "/",
            pass_fds=[file.fileno()] if how == "open file" else [],
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        rows = {row["pid"]: row for row in holders.users([_number(folder)])}
        process.communicate()
    held.unlink()
    row = rows[process.pid]
    assert row["how"] == how
    assert "secret" not in str(row)


def test_a_process_is_told_with_its_unit_and_its_owner() -> None:
    """For who has to name it; nothing that it could have put into its arguments."""
    told = holders.describe(os.getpid(), "cwd")
    assert told["uid"] == os.geteuid()
    (cgroup,) = [
        line for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0:")
    ] or [""]
    assert told["cgroup"] == cgroup.removeprefix("0::")
    assert holders.describe(2**22 + 1, "cwd")["command"] == "?"


@pytest.mark.skipif(os.geteuid() != 0, reason="makes mounts and namespaces")
@pytest.mark.parametrize(("make", "mode"), [("mkdir", "755"), ("seal", "0")])
@pytest.mark.parametrize("options", ["mode=755", "mode=755,nr_inodes=2"], ids=["room", "full"])
def test_a_mount_point_that_is_made_anew_frees_what_any_namespace_has_mounted_there(
    tmp_path: Path, options: str, make: str, mode: str
) -> None:
    """Also one that no unmount of ours gets to: it is private, and its copy is locked in a user namespace.

    And where there is no room for a second folder beside it. It is then as the one before was.
    """
    script = """
set -e
mount -t tmpfs -o "$4" none /mnt
if [ "$5" = mkdir ]; then mkdir /mnt/disk; else
    "$3" -c 'from eventd.storage.volume import points; points.seal("/mnt/disk")'
fi
mount -t tmpfs none /mnt/disk
number=$(stat -c %d /mnt/disk)
unshare --user --map-root-user --mount --propagation private sh -c 'echo ready; read -r line' <"$1" >"$2" &
exec 7>"$1"
read -r line <"$2"
umount /mnt/disk
nsenter -t $! -U -m umount /mnt/disk 2>/dev/null && echo "it was not locked"
echo "before: $(grep -c " /mnt/disk " "/proc/$!/mountinfo")"
"$3" -c 'from eventd.storage.volume import points; points.renew("/mnt/disk")'
echo "after: $(grep -c " /mnt/disk " "/proc/$!/mountinfo")"
stat -c %a /mnt/disk
ls -A /mnt
echo >&7
wait
"""
    pipes = tmp_path / "in", tmp_path / "out"
    for pipe in pipes:
        os.mkfifo(pipe)
    alone = ["unshare", "--mount", "--propagation", "private"]
    command = [*alone, "sh", "-c", script, "sh", *map(str, pipes), sys.executable, options, make]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == ["before: 1", "after: 0", mode, "disk"], done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="makes folders that are root's")
def test_only_a_folder_that_is_made_for_it_is_sealed_and_it_goes_with_the_volume() -> None:
    """Somebody's folder keeps its owner and mode; one of ours is immutable, and is taken away when it is empty."""
    folder = Path(tempfile.mkdtemp(prefix="eventd-seal-", dir="/srv"))
    try:
        folder.chmod(0o755)
        theirs, ours = folder / "theirs", folder / "deep/ours"
        theirs.mkdir(mode=0o750)
        os.chown(theirs, 0, 4)
        before = theirs.stat()
        assert points.seal(str(theirs)) is False
        assert theirs.stat() == before
        assert points.unseal(str(theirs)) == "left"
        for _ in range(2):
            assert points.seal(str(ours)) is True
        assert ours.stat().st_mode & 0o777 == 0
        with pytest.raises(OSError, match=r"permitted|denied"):
            (ours / "file").write_text("")
        points.renew(str(ours))
        points.renew(str(theirs))
        assert (theirs.stat().st_mode, theirs.stat().st_gid) == (before.st_mode, 4)
        assert ours.stat().st_mode & 0o777 == 0
        assert points.unseal(str(ours)) == "removed"
        assert points.unseal(str(ours)) == "gone"
    finally:
        for path in (folder / "deep/ours", folder / "theirs"):
            points.unseal(str(path))
        shutil.rmtree(folder)


@pytest.mark.parametrize("path", ["/var/lib/private", "/etc/x", "/usr/lib/y", "/home/web"])
def test_nothing_of_the_systems_is_ever_sealed(path: str) -> None:
    """Whatever a manifest or a configuration says: every DynamicUser= service needs /var/lib/private."""
    with pytest.raises(Refused) as found:
        points.seal(path)
    assert found.value.reason == "unsafe-path"


@pytest.mark.skipif(os.geteuid() != 0, reason="makes mounts")
@pytest.mark.parametrize(
    ("made", "reason"),
    [("touch /mnt/disk/file", "mount-point-not-empty"), ("mount -t tmpfs none /mnt/disk", "mounted")],
    ids=["not empty", "mounted"],
)
def test_a_mount_point_in_use_is_not_made_anew(made: str, reason: str) -> None:
    """Nothing of anybody's is hidden or lost."""
    script = f"""
set -e
mount -t tmpfs -o mode=755 none /mnt
mkdir /mnt/disk
{made}
before=$(stat -c %i /mnt/disk)
"$1" -c '
from eventd.storage.volume import places, points
try:
    points.renew("/mnt/disk")
except places.Refused as error:
    print(error.reason)'
test "$before" = "$(stat -c %i /mnt/disk)"
"""
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.returncode) == ([reason], 0), done.stderr


def test_who_has_it_mounted_is_told_by_namespaces() -> None:
    """The one that this test is in has its own root mounted; nobody has what does not exist."""
    number = next(
        line.split()[2]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4] == "/"
    )
    found = holders.mounters((), [number])
    assert found
    assert {row["how"] for row in found} == {"mount namespace"}
    assert holders.mounters(["/dev/none"], ["999:999"]) == []
