"""A home is deleted with all that is in it and nothing else, whatever its owner has put there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from eventd.accounts import adapter_home_removal as home_removal
from eventd.accounts.adapter_home_removal import Home, discard, measure
from eventd.kernel.model.errors import DeadlineError, PermanentError
from eventd.storage.volume import emptying


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A folder of homes, with a neighbour in it."""
    folder = tmp_path / "home"
    (folder / "neighbour").mkdir(parents=True)
    (folder / "neighbour/data").write_text("precious")
    folder.chmod(0o755)
    return folder


def home(base: Path, name: str = "web") -> Home:
    """Return a home, made if it is not there."""
    (base / name).mkdir(exist_ok=True)
    return Home(f"{base}/{name}", os.geteuid())


def never() -> bool:
    """Never give up."""
    return False


def after(entries: int) -> Callable[[], bool]:
    """Give up after so many entries."""
    left = entries

    def stop() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    return stop


def rest(base: Path) -> list[str]:
    """Return what is left in the folder of homes."""
    return sorted(path.name for path in base.iterdir())


def test_links_out_of_the_home_are_removed_and_not_followed(base: Path) -> None:
    """To a file, to a folder, to nowhere, and a pipe, a read-only folder and odd names beside them."""
    web = home(base)
    for name, target in (("file", "../neighbour/data"), ("folder", "../neighbour"), ("nowhere", "/nowhere")):
        Path(web.path, name).symlink_to(target)
    os.mkfifo(f"{web.path}/pipe")
    Path(web.path, "a b\n\x7f").mkdir(mode=0o500)
    Path(web.path, ".1").write_text("a name that a folder could be moved to")
    Path(web.path, "deep/.2/.1").mkdir(parents=True)
    discard(web, str(base), never)
    assert rest(base) == ["neighbour"]
    assert (base / "neighbour/data").read_text() == "precious"


def test_a_tree_that_is_deeper_than_any_path_goes(base: Path) -> None:
    """PATH_MAX is 4096 bytes; that is no way to keep one's home."""
    web = home(base)
    folder = os.open(web.path, os.O_DIRECTORY)
    for _ in range(200):
        os.mkdir("folder" * 20, dir_fd=folder)
        inner = os.open("folder" * 20, os.O_DIRECTORY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    discard(web, str(base), never)
    assert rest(base) == ["neighbour"]


def test_it_goes_on_where_it_was_cut_off(base: Path) -> None:
    """After a stop at each entry, also when a new home of that name was made meanwhile."""
    web = home(base)
    for number in range(4):
        Path(web.path, f"folder{number}/inner").mkdir(parents=True)
        Path(web.path, f"folder{number}/file").write_text("")
    cuts = 0
    while True:
        try:
            discard(web, str(base), after(2))
        except DeadlineError:
            cuts += 1
            assert rest(base) == [web.trash, "neighbour"]
            assert os.stat(base / web.trash).st_mode & 0o777 == 0o700  # noqa: PTH116
        else:
            break
    assert cuts > 3
    assert rest(base) == ["neighbour"]
    discard(web, str(base), never)
    home(base)
    Path(base, web.trash).mkdir()
    discard(web, str(base), never)
    assert rest(base) == ["neighbour"]


@pytest.mark.parametrize("kind", ["link", "file", "owner", "elsewhere", "below", "hidden", "writable"])
def test_what_is_not_a_home_that_eventd_made_is_left_alone(base: Path, kind: str) -> None:
    """A link in its place, another owner, another folder, one that others can write to."""
    path, uid = base / "web", os.geteuid()
    match kind:
        case "link":
            path.symlink_to("neighbour")
        case "file":
            path.write_text("")
        case "owner":
            path, uid = base / "neighbour", uid + 1
        case "elsewhere":
            path = base.parent / "web"
        case "below":
            path = base / "neighbour/web"
        case "hidden":
            path = base / ".web"
        case "writable":
            path.mkdir()
            base.chmod(0o777)
    with pytest.raises(PermanentError) as refused:
        discard(Home(str(path), uid), str(base), never)
    assert refused.value.reason in ("home-not-ours", "home-elsewhere")
    assert (base / "neighbour/data").exists()


def test_a_home_with_something_mounted_in_it_is_left_alone(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel's table says; that a mount made meanwhile ends it too is tested on the real host."""
    web = home(base)
    Path(web.path, "data").write_text("")
    refuse = home_removal._refuse_mounts
    table = f"36 35 98:0 / {web.path}/mnt\\040x rw - ext4 /dev/sdb rw\n"
    (base.parent / "mountinfo").write_text(table)
    monkeypatch.setattr(home_removal, "MOUNTINFO", str(base.parent / "mountinfo"))
    with pytest.raises(PermanentError, match="mnt x") as refused:
        refuse(web.path)
    assert refused.value.reason == "home-mounted"
    with pytest.raises(PermanentError):
        discard(web, str(base), never)
    assert rest(base) == ["neighbour", "web"]


def test_a_home_is_measured_without_following_anything(base: Path) -> None:
    """Links count as themselves; a count that is cut short says so."""
    web = home(base)
    Path(web.path, "folder").mkdir()
    Path(web.path, "folder/file").write_bytes(b"x" * 100_000)
    Path(web.path, "link").symlink_to("/")
    found = measure(web, str(base), never)
    assert (found.files, found.complete, found.top) == (2, True, ("folder", "link"))
    assert 100_000 <= found.bytes < 200_000
    assert not measure(web, str(base), after(1)).complete
    assert not measure(Home(f"{base}/nobody", 1), str(base), never).complete


def test_a_folder_with_more_names_than_are_kept_in_memory_goes(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home's owner chooses how many files it has, and not how much memory the daemon needs."""
    monkeypatch.setattr(emptying, "BATCH", 7)
    web = home(base)
    for number in range(50):
        (base / "web" / f"d{number % 3}" / f"{number}").mkdir(parents=True)
        (base / "web" / f"d{number % 3}" / f"f{number}").touch()
        (base / "web" / f"f{number:02}").touch()
    counted = measure(web, str(base), never)
    assert (counted.files, counted.complete, counted.top[:4]) == (100, True, ("d0", "d1", "d2", "f00"))
    discard(web, str(base), never)
    assert rest(base) == ["neighbour"]
