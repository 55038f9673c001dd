"""Scope: repositories made to harm whoever reads them, fetched and read by eventd.repository.adapter_git."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from eventd.kernel.model.errors import PermanentError
from eventd.repository.adapter_git_tree import Entry, TreeLimits, parse_batch, parse_listing
from tests.unit.repository.gitremote import Remote

if TYPE_CHECKING:
    from pathlib import Path

    from eventd.desired.model import Tree

A = "a" * 40
CONFIG = """
[core]
    fsmonitor = SCRIPT
    sshCommand = SCRIPT
    pager = SCRIPT
    alternateRefsCommand = SCRIPT
    gitProxy = SCRIPT
[uploadpack]
    packObjectsHook = SCRIPT
[credential]
    helper = "!SCRIPT"
[gpg "ssh"]
    program = SCRIPT
[protocol "ext"]
    allow = always
[filter "x"]
    smudge = SCRIPT
"""


async def read(folder: Path, remote: Remote, tree: str) -> Tree:
    """Commit, fetch and read a tree."""
    commit = remote.commit(tree)
    repository = remote.open(folder)
    await repository.fetch()
    return await repository.tree(commit)


async def test_symlinks_and_submodules_are_refused_by_name(folder: Path, remote: Remote) -> None:
    """They are named as refused; the file beside them is read."""
    blob = remote.blob(b"/etc/shadow")
    inner = remote.commit({"x": b""})
    tree = await read(
        folder,
        remote,
        remote.raw_tree(("120000", b"link", blob), ("160000", b"module", inner), ("100644", b"ok", blob)),
    )
    assert set(tree.files) == {"ok"}
    assert dict(tree.refused) == {"link": "symlink", "module": "submodule"}


async def test_paths_that_leave_the_tree_are_refused(folder: Path, remote: Remote) -> None:
    """`..`, `.git` in any case, and a name with a slash never become files."""
    blob = remote.blob(b"x")
    below = remote.raw_tree(("100644", b"passwd", blob))
    dots = remote.raw_tree(("40000", b"..", below))
    made = remote.raw_tree(
        ("40000", b"..", dots), ("40000", b".GiT", below), ("40000", b"etc", below), ("100644", b"ok", blob)
    )
    try:
        tree = await read(folder, remote, made)
    except PermanentError as error:
        # This git's fsck knows the trick already and refuses the fetch as a whole.
        assert error.reason == "malformed-objects"  # noqa: PT017
        return
    assert set(tree.files) == {"etc/passwd", "ok"}
    assert dict(tree.refused) == {
        "../../passwd": "path leaves the repository",
        ".GiT/passwd": "path goes into .git",
    }


async def test_names_with_newlines_escapes_and_no_utf8_are_refused(folder: Path, remote: Remote) -> None:
    """Odd names are refused, and shown so that they cannot play with a terminal or a log."""
    blob = remote.blob(b"x")
    names = (b"\x1b[31m.container", b"a\nb.container", b"caf\xe9.container", "größe".encode())
    tree = await read(folder, remote, remote.raw_tree(*(("100644", name, blob) for name in names)))
    assert set(tree.files) == {"größe"}
    assert dict(tree.refused) == {
        "\\x1b[31m.container": "name has control characters",
        "a\\nb.container": "name has control characters",
        "caf\\xe9.container": "name is not UTF-8",
    }


async def test_names_that_differ_in_case_are_two_files(folder: Path, remote: Remote) -> None:
    """The host's file systems tell case apart, and so does the tree: neither hides the other."""
    tree = await read(
        folder,
        remote,
        remote.raw_tree(("100644", b"WEB", remote.blob(b"1")), ("100644", b"web", remote.blob(b"2"))),
    )
    assert {path: file.content for path, file in tree.files.items()} == {"WEB": b"1", "web": b"2"}


async def test_a_huge_blob_is_refused_without_being_read(folder: Path, remote: Remote) -> None:
    """A file over the limit is named with its size; the rest of the commit is read."""
    made = remote.raw_tree(
        ("100644", b"big", remote.blob(bytes(5 << 20))), ("100644", b"ok", remote.blob(b"x"))
    )
    tree = await read(folder, remote, made)
    assert (set(tree.files), dict(tree.refused)) == ({"ok"}, {"big": "5242880 bytes, larger than 1048576"})


async def test_malformed_objects_end_the_fetch(folder: Path, remote: Remote) -> None:
    """A tree with two entries of one name does not pass the checks of the fetch."""
    blob, other = remote.blob(b"1"), remote.blob(b"2")
    remote.commit(remote.raw_tree(("100644", b"a", blob), ("100644", b"a", other)))
    with pytest.raises(PermanentError) as caught:
        await remote.open(folder).fetch()
    assert caught.value.reason == "malformed-objects"


async def test_programs_named_by_a_repository_are_not_run(folder: Path, remote: Remote) -> None:
    """Hooks, fsmonitor, ssh and pager of a repository's configuration run on neither side of a fetch."""
    witness = folder / "witness"
    script = folder / "script"
    script.write_text(f"#!/bin/sh\necho $0 >> {witness}\n")
    script.chmod(0o755)
    commit = remote.commit({"a": b"1"})
    repository = remote.open(folder)
    await repository.fetch()
    names = ("reference-transaction", "post-update", "pre-auto-gc", "post-checkout", "fsmonitor-watchman")
    for place in (folder / "copy", remote.path):
        (place / "hooks").mkdir(exist_ok=True)
        for name in names:
            (place / "hooks" / name).unlink(missing_ok=True)
            (place / "hooks" / name).symlink_to(script)
        with (place / "config").open("a") as config:
            config.write(CONFIG.replace("SCRIPT", str(script)))
    second = remote.commit({"a": b"2", ".gitattributes": b"* filter=x\n"}, commit)
    witness.unlink(missing_ok=True)  # the set-up's own git ran some in the remote
    assert (await repository.fetch()).commit == second
    await repository.tree(second)
    await repository.tidy()
    assert not witness.exists(), witness.read_text()


async def test_replaced_objects_do_not_count(folder: Path, remote: Remote) -> None:
    """A commit id means that commit, though the copy has a replacement for it."""
    commit = remote.commit({"a": b"1"})
    other = remote.commit({"a": b"2"})
    repository = remote.open(folder)
    await repository.fetch()
    (folder / "copy/refs/replace").mkdir()
    (folder / f"copy/refs/replace/{commit}").write_text(other + "\n")
    assert (await repository.tree(commit)).files["a"].content == b"1"


async def test_tags_and_other_branches_are_not_fetched(folder: Path, remote: Remote) -> None:
    """Only the wanted branch comes over."""
    commit = remote.commit({"a": b"1"})
    remote.git("tag", "v1", commit)
    remote.git("branch", "other", commit)
    await remote.open(folder).fetch()
    refs = {str(p.relative_to(folder / "copy")) for p in (folder / "copy/refs").rglob("*") if p.is_file()}
    assert refs == {"refs/eventd/incoming", "refs/eventd/current"}


async def test_a_branch_that_is_no_commit_is_refused(folder: Path, remote: Remote) -> None:
    """A server that offers a blob as the branch gets nowhere."""
    blob = remote.blob(b"x")
    (remote.path / "refs/heads/main").write_text(blob + "\n")
    with pytest.raises(PermanentError):
        await remote.open(folder).fetch()


def row(mode: str, path: bytes, size: str = "1", object_id: str = A) -> bytes:
    """Write a row of ls-tree."""
    return f"{mode} blob {object_id} {size:>7}\t".encode() + path + b"\0"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (b"/etc/passwd", "path leaves the repository"),
        (b"a//b", "path leaves the repository"),
        (b"./a", "path leaves the repository"),
        (b"a/../b", "path leaves the repository"),
        (b"a/.git/config", "path goes into .git"),
        (b"x" * 256, "name is longer than 255 bytes"),
        (b"/".join([b"y" * 200] * 6), "path is longer than 1024 bytes"),
        ("a\u202eb".encode(), "name has control characters"),
    ],
)
def test_bad_names(path: bytes, why: str) -> None:
    """Each bad name is refused for its reason."""
    listing = parse_listing(row("100644", path), TreeLimits())
    assert (listing.entries, list(listing.refused.values())) == ((), [why])


def test_a_name_listed_twice_is_nobodys() -> None:
    """Of two, or three, files of one name, none is taken."""
    for count in (2, 3):
        listing = parse_listing(row("100644", b"a") * count, TreeLimits())
        assert (listing.entries, listing.refused) == ((), {"a": "listed twice"})


def test_a_path_cannot_be_file_and_folder() -> None:
    """What lies below a file is refused."""
    listing = parse_listing(row("100644", b"a") + row("100644", b"a/b/c"), TreeLimits())
    assert [entry.path for entry in listing.entries] == ["a"]
    assert listing.refused == {"a/b/c": "below a path that is a file"}


def test_an_unknown_mode_is_refused() -> None:
    """Set-uid bits and the like are not modes of git."""
    listing = parse_listing(row("104755", b"a"), TreeLimits())
    assert listing.refused == {"a": "mode 104755"}


@pytest.mark.parametrize(
    "output", [b"", b"x missing\n", b"%s blob 2\nab\n" % A.encode(), b"%s tree 1\na\n" % A.encode()]
)
def test_an_answer_of_another_shape_is_damage(output: bytes) -> None:
    """A missing object, another type, another size: never taken for the file."""
    with pytest.raises(PermanentError) as caught:
        parse_batch(output, [Entry("a", A, 1, executable=False)])
    assert caught.value.reason == "repository-damaged"
