"""Scope: eventd.repository.adapter_git with real git and a bare remote over file://, as an unprivileged account."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from eventd.kernel.model.errors import DeadlineError, PermanentError, TemporaryError
from eventd.repository.adapter_git_tree import TreeLimits
from tests.unit.repository.gitremote import Remote, command

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can change to another account")


async def test_a_push_is_fetched_and_its_files_are_read(folder: Path, remote: Remote) -> None:
    """The head's id and the files of its tree arrive; a second fetch knows the first head as previous."""
    first = remote.commit({"web.container": b"[Container]\nImage=a\n", "sub/empty": b""})
    repository = remote.open(folder)
    assert await repository.current() == ""
    fetched = await repository.fetch()
    assert (fetched.commit, fetched.previous) == (first, "")
    tree = await repository.tree(first)
    assert {path: file.content for path, file in tree.files.items()} == {
        "web.container": b"[Container]\nImage=a\n",
        "sub/empty": b"",
    }
    assert (tree.commit, dict(tree.refused)) == (first, {})
    second = remote.commit({"web.container": b"new"})
    fetched = await repository.fetch()
    assert (fetched.commit, fetched.previous) == (second, first)
    assert (await repository.fetch()).previous == second
    assert await remote.open(folder).current() == second
    assert (await repository.tree(first)).files["web.container"].content.startswith(b"[Container]")


async def test_the_executable_bit_is_carried(folder: Path, remote: Remote) -> None:
    """A script stays executable."""
    blob = remote.blob(b"#!/bin/sh\n")
    commit = remote.commit(remote.raw_tree(("100755", b"run", blob), ("100644", b"text", blob)))
    repository = remote.open(folder)
    await repository.fetch()
    tree = await repository.tree(commit)
    assert (tree.files["run"].executable, tree.files["text"].executable) == (True, False)


@needs_root
async def test_everything_fetched_belongs_to_the_unprivileged_account(folder: Path, remote: Remote) -> None:
    """No byte of the copy is root's, and nobody else can read it; the private folder is gone."""
    remote.commit({"a": b"x"})
    await remote.open(folder).fetch()
    copy = folder / "copy"
    assert {path.lstat().st_uid for path in (copy, *copy.rglob("*"))} == {65534}
    assert copy.stat().st_mode & 0o777 == 0o700
    assert list((folder / "run").iterdir()) == []


async def test_only_changed_blobs_are_read(folder: Path, remote: Remote) -> None:
    """Of 60 files with one change, the unchanged ones are the same objects in memory."""
    files = {f"w{n}/a.container": b"%d" % n for n in range(60)}
    first = remote.commit(files)
    repository = remote.open(folder)
    await repository.fetch()
    before = await repository.tree(first)
    second = remote.commit({**files, "w7/a.container": b"changed"})
    await repository.fetch()
    after = await repository.tree(second)
    differ = [p for p in files if before.files[p].content is not after.files[p].content]
    assert differ == ["w7/a.container"]
    assert await repository.tree(second) is after


async def test_a_missing_branch_names_the_others(folder: Path, remote: Remote) -> None:
    """Whoever mistypes the branch reads which ones there are."""
    remote.commit({"a": b""})
    remote.git("branch", "größe", "main")
    with pytest.raises(PermanentError, match="branches: größe, main") as caught:
        await remote.open(folder, branch="mian").fetch()
    assert caught.value.reason == "branch-missing"


async def test_an_empty_remote_says_so(folder: Path, remote: Remote) -> None:
    """A repository without commits is a branch that is missing."""
    with pytest.raises(PermanentError, match="it has no branches: push a commit to main"):
        await remote.open(folder).fetch()


async def test_a_missing_repository_is_permanent(folder: Path, remote: Remote) -> None:
    """A wrong path is an error that waits for somebody."""
    with pytest.raises(PermanentError) as caught:
        await remote.open(folder, url=f"file://{folder}/none.git").fetch()
    assert caught.value.reason == "repository-missing"


async def test_a_unicode_branch_is_fetched(folder: Path) -> None:
    """A branch may have a name of any script, and slashes."""
    remote = Remote.make(folder / "remote.git", branch="umgebung/größe-日本")
    commit = remote.commit({"a": b"x"})
    assert (await remote.open(folder).fetch()).commit == commit


async def test_a_force_push_is_refused_until_it_is_allowed(folder: Path, remote: Remote) -> None:
    """A rewritten branch leaves current alone; an operator's word for the new commit moves it, once."""
    first = remote.commit({"a": b"1"})
    repository = remote.open(folder)
    await repository.fetch()
    rewritten = remote.root_commit({"a": b"2"})
    for _ in range(2):
        with pytest.raises(PermanentError, match=rewritten) as caught:
            await repository.fetch()
        assert caught.value.reason == "rewritten"
        assert await repository.current() == first
    repository.allow_rewrite(rewritten)
    assert (await repository.fetch()).commit == rewritten
    assert await repository.current() == rewritten
    remote.git("update-ref", "refs/heads/main", first)
    with pytest.raises(PermanentError):
        await repository.fetch()
    repository.allow_rewrite(first)
    assert (await repository.fetch()).commit == first
    remote.git("update-ref", "refs/heads/main", rewritten)
    with pytest.raises(PermanentError):
        await repository.fetch()


async def test_a_reset_to_an_ancestor_is_a_rewrite(folder: Path, remote: Remote) -> None:
    """Going back by force-push is refused as well: an old, vulnerable revision is not a fast-forward."""
    first = remote.commit({"a": b"1"})
    remote.commit({"a": b"2"})
    repository = remote.open(folder)
    await repository.fetch()
    remote.git("update-ref", "refs/heads/main", first)
    with pytest.raises(PermanentError) as caught:
        await repository.fetch()
    assert caught.value.reason == "rewritten"


async def test_rewrites_can_be_allowed_for_good(folder: Path, remote: Remote) -> None:
    """With the option off, a force-push is an ordinary push."""
    remote.commit({"a": b"1"})
    repository = remote.open(folder, refuse_rewrites=False)
    await repository.fetch()
    rewritten = remote.root_commit({"a": b"2"})
    assert (await repository.fetch()).commit == rewritten


def make_key(folder: Path, name: str) -> Path:
    """Make an ssh key pair for signing."""
    command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name), cwd=folder)
    return folder / name


def allow(folder: Path, *keys: Path) -> str:
    """Write an allowed_signers file for these keys."""
    path = folder / "allowed_signers"
    lines = (f'ann@example.org namespaces="git" {key.with_suffix(".pub").read_text()}' for key in keys)
    path.write_text("".join(lines))
    path.chmod(0o600)
    return str(path)


async def test_signed_commits_of_listed_keys_pass(folder: Path, remote: Remote) -> None:
    """A commit signed with a listed key is fetched, though the list is root's own file."""
    ann = make_key(folder, "ann")
    repository = remote.open(folder, require_signed=True, allowed_signers=allow(folder, ann))
    commit = remote.commit({"a": b"1"}, sign=ann)
    assert (await repository.fetch()).commit == commit


async def test_an_unlisted_key_is_refused_though_git_prints_good(folder: Path, remote: Remote) -> None:
    """The exit status decides: git says "Good signature" of a key that is on no list."""
    ann, eve = make_key(folder, "ann"), make_key(folder, "eve")
    signers = allow(folder, ann)
    repository = remote.open(folder, require_signed=True, allowed_signers=signers)
    first = remote.commit({"a": b"1"}, sign=ann)
    await repository.fetch()
    remote.commit({"a": b"2"}, sign=eve)
    with pytest.raises(PermanentError, match='Good "git" signature') as caught:
        await repository.fetch()
    assert caught.value.reason == "unsigned"
    assert await repository.current() == first


async def test_unsigned_and_tampered_commits_are_refused(folder: Path, remote: Remote) -> None:
    """No signature, and a signature over another commit, are both refused."""
    ann = make_key(folder, "ann")
    repository = remote.open(folder, require_signed=True, allowed_signers=allow(folder, ann))
    remote.commit({"a": b"1"})
    with pytest.raises(PermanentError) as caught:
        await repository.fetch()
    assert caught.value.reason == "unsigned"
    signed = remote.root_commit({"a": b"1"})
    signed = remote.commit({"a": b"2"}, sign=ann)
    forged = remote.git("cat-file", "commit", signed).replace("change", "chance") + "\n"
    made = remote.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=forged.encode())
    remote.git("update-ref", "refs/heads/main", made)
    with pytest.raises(PermanentError) as caught:
        await repository.fetch()
    assert caught.value.reason == "unsigned"
    assert await repository.current() == ""


async def test_a_revoked_key_ends_trust_in_the_current_commit(folder: Path, remote: Remote) -> None:
    """Once its key is off the list, even the commit that is current no longer passes."""
    ann, bob = make_key(folder, "ann"), make_key(folder, "bob")
    repository = remote.open(folder, require_signed=True, allowed_signers=allow(folder, ann))
    remote.commit({"a": b"1"}, sign=ann)
    await repository.fetch()
    allow(folder, bob)
    with pytest.raises(PermanentError, match="allowed signer"):
        await repository.current()


async def test_signed_without_a_list_is_a_configuration_error(folder: Path, remote: Remote) -> None:
    """Requiring signatures without saying whose is refused at the start."""
    with pytest.raises(PermanentError) as caught:
        remote.open(folder, require_signed=True)
    assert caught.value.reason == "no-allowed-signers"


@pytest.mark.parametrize("ref", ["incoming", "current"])
async def test_locks_of_a_killed_git_are_removed(folder: Path, remote: Remote, ref: str) -> None:
    """A lock file that a killed fetch, or a killed update-ref after it, left behind does not fail every later one."""
    remote.commit({"a": b"1"})
    repository = remote.open(folder)
    await repository.fetch()
    commit = remote.commit({"a": b"2"})
    (folder / f"copy/refs/eventd/{ref}.lock").touch()
    assert (await repository.fetch()).commit == commit


@needs_root
async def test_root_removes_nothing_for_the_account(folder: Path, remote: Remote) -> None:
    """If the account bends its folder towards root's files, stale locks are not removed there."""
    remote.commit({"a": b"1"})
    repository = remote.open(folder)
    await repository.fetch()
    remote.commit({"a": b"2"})
    bait = folder / "roots" / "incoming.lock"
    bait.parent.mkdir(mode=0o755)
    bait.touch()
    shutil.rmtree(folder / "copy/refs/eventd")
    (folder / "copy/refs/eventd").symlink_to(bait.parent)
    with pytest.raises(TemporaryError):
        await repository.fetch()
    assert bait.exists()


async def test_a_fetch_ends_at_its_deadline(folder: Path, remote: Remote) -> None:
    """A remote that never answers is an error after the deadline, and nothing of the fetch runs on."""
    remote.commit({"a": b"1"})
    repository = remote.open(folder)
    await repository.fetch()
    (remote.path / "HEAD").unlink()
    os.mkfifo(remote.path / "HEAD")  # upload-pack hangs in its open()
    hanging = remote.open(folder, fetch_timeout=0.3)
    with pytest.raises(DeadlineError) as error:
        await hanging.fetch()
    said = error.value.message
    assert said.startswith(f"cannot fetch from {remote.path.as_uri()}: git fetch did not end within 0.3 s")
    assert "prlimit" not in said
    assert error.value.reason == "remote-timeout"


async def test_what_is_here_is_read_while_a_remote_hangs(folder: Path, remote: Remote) -> None:
    """A boot converges to the last commit it knows although the fetch waits for a remote that does not answer."""
    commit = remote.commit({"a": b"1"})
    await remote.open(folder).fetch()
    (remote.path / "HEAD").unlink()
    os.mkfifo(remote.path / "HEAD")
    repository = remote.open(folder, fetch_timeout=300)
    fetching = asyncio.create_task(repository.fetch())
    try:
        async with asyncio.timeout(60):
            await asyncio.sleep(0)  # it has begun, and stands before all that comes now
            assert await repository.current() == commit
            assert (await repository.tree(commit)).files["a"].content == b"1"
        assert not fetching.done()
    finally:
        fetching.cancel()
        await asyncio.wait([fetching])


async def test_methods_at_once_queue(folder: Path, remote: Remote) -> None:
    """Fetches and reads at the same time do not trip over git's locks."""
    commit = remote.commit({"a": b"1"})
    repository = remote.open(folder)
    await repository.fetch()
    fetches = asyncio.gather(*(repository.fetch() for _ in range(4)))
    reads = asyncio.gather(*(repository.tree(commit) for _ in range(2)))
    assert {fetched.commit for fetched in await fetches} == {commit}
    assert {tree.commit for tree in await reads} == {commit}


async def test_limits_on_the_tree(folder: Path, remote: Remote) -> None:
    """Too many files, and too much in sum, are errors; a single large file is refused by itself."""
    commit = remote.commit({"a": b"x" * 600, "b": b"y" * 500, "c": b"z" * 3000})
    await remote.open(folder).fetch()
    tree = await remote.open(folder, limits=TreeLimits(file_size=2000)).tree(commit)
    assert set(tree.files) == {"a", "b"}
    assert dict(tree.refused) == {"c": "3000 bytes, larger than 2000"}
    for limits in (TreeLimits(files=2), TreeLimits(file_size=2000, total_size=1000)):
        with pytest.raises(PermanentError) as caught:
            await remote.open(folder, limits=limits).tree(commit)
        assert caught.value.reason == "tree-too-large"


async def test_a_pack_over_the_limit_is_refused(folder: Path, remote: Remote) -> None:
    """A repository that would fill the disk ends at the limit on what git may write."""
    remote.commit({"a": os.urandom(300_000)})
    with pytest.raises(PermanentError) as caught:
        await remote.open(folder, pack_limit=100_000).fetch()
    assert caught.value.reason == "repository-too-large"
    assert sum(p.stat().st_size for p in (folder / "copy").rglob("*") if p.is_file()) < 250_000


async def test_a_head_that_cannot_be_read_is_accepted_and_its_reader_is_told(
    folder: Path, remote: Remote
) -> None:
    """What is wrong with the files of a new head fails the reading, each time, and not the fetch."""
    commit = remote.commit({"a": b"1", "b": b"2"})
    repository = remote.open(folder, limits=TreeLimits(files=1))
    assert (await repository.fetch()).commit == commit
    assert await repository.current() == commit
    for _ in range(2):
        with pytest.raises(PermanentError) as caught:
            await repository.tree(commit)
        assert caught.value.reason == "tree-too-large"


async def test_what_was_current_is_what_the_repository_says(folder: Path, remote: Remote) -> None:
    """A current commit that was moved behind its back is not what the next head is compared with."""
    first = remote.commit({"a": b"1"})
    second = remote.commit({"a": b"2"})
    repository = remote.open(folder)
    await repository.fetch()
    (folder / "copy/refs/eventd/current").write_text(f"{first}\n")
    fetched = await repository.fetch()
    assert (fetched.commit, fetched.previous) == (second, first)
    assert await repository.current() == second


async def test_a_damaged_object_is_noticed(folder: Path, remote: Remote) -> None:
    """A blob whose bytes are not those of its id is an error, not a file."""
    commit = remote.commit({"a": b"1"})
    await remote.open(folder).fetch()
    shutil.rmtree(folder / "copy/objects")
    shutil.copytree(remote.path / "objects", folder / "copy/objects")
    blob, other = remote.git("rev-parse", "main:a"), remote.blob(b"2")
    stored = folder / f"copy/objects/{blob[:2]}/{blob[2:]}"
    stored.unlink()
    shutil.copy(remote.path / f"objects/{other[:2]}/{other[2:]}", stored)
    with pytest.raises(PermanentError) as caught:
        await remote.open(folder).tree(commit)
    assert caught.value.reason == "repository-damaged"


async def test_commit_ids_only(folder: Path, remote: Remote) -> None:
    """A tree is read by a full commit id; a name, an option or an unknown id is an error."""
    remote.commit({"a": b"1"})
    repository = remote.open(folder)
    await repository.fetch()
    for bad in ("main", "--help", "HEAD", "0" * 39):
        with pytest.raises(PermanentError) as caught:
            await repository.tree(bad)
        assert caught.value.reason == "bad-commit"
    with pytest.raises(PermanentError) as caught:
        await repository.tree("0" * 40)
    assert caught.value.reason == "commit-missing"


async def test_a_folder_of_somebody_else_is_not_used(folder: Path, remote: Remote) -> None:
    """A symlink, or a folder with another owner, in the place of the copy is an error."""
    remote.commit({"a": b"1"})
    (folder / "elsewhere").mkdir()
    (folder / "copy").symlink_to(folder / "elsewhere")
    with pytest.raises(PermanentError) as caught:
        await remote.open(folder).fetch()
    assert caught.value.reason == "repository-folder"


@needs_root
async def test_a_folder_left_between_mkdir_and_chown_is_taken_over(folder: Path, remote: Remote) -> None:
    """A daemon killed right after it made the folder does not leave a trap."""
    commit = remote.commit({"a": b"1"})
    (folder / "copy").mkdir()
    assert (await remote.open(folder).fetch()).commit == commit


async def test_tidy_packs_many_loose_objects(folder: Path, remote: Remote) -> None:
    """What years of pushes leave as single files is packed when asked, and still read."""
    commit = remote.commit({"a": b"1"})
    repository = remote.open(folder)
    await repository.fetch()
    await repository.tidy()
    assert (await repository.tree(commit)).files["a"].content == b"1"


async def test_what_to_watch_for_pushes(folder: Path, remote: Remote) -> None:
    """A push to a local remote changes a file in one of the named places, loose or packed."""
    repository = remote.open(folder)
    loose, packed, _ = (Path(path) for path in repository.watch_paths())
    remote.commit({"a": b"1"})
    assert (loose / "main").read_text().strip() == remote.git("rev-parse", "main")
    remote.git("pack-refs", "--all")
    assert not (loose / "main").exists()
    assert "refs/heads/main" in packed.read_text()
    assert remote.open(folder, url="ssh://host/x").watch_paths() == ()


async def test_an_unreachable_host_is_temporary(folder: Path, remote: Remote) -> None:
    """Nothing listens there now: that may pass."""
    with pytest.raises(TemporaryError) as caught:
        await remote.open(folder, url="https://127.0.0.1:1/x.git").fetch()
    assert caught.value.reason == "remote-unreachable"
