"""Scope: the generator as a check: how it is run and what becomes of its words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eventd.kernel.model.errors import DeadlineError, PermanentError
from eventd.platform.processes.process import ServiceAccount
from eventd.unitfiles.adapter_quadlet_generator import HostQuadletGenerator
from tests.processes import script
from tests.unit.repository.gitremote import public_folder


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_accepted_files_have_no_complaints(tmp_path: Path) -> None:
    """Exit status 0 is acceptance, whatever was said; the files were in a folder that is gone."""
    generator = script(
        tmp_path / "generator",
        f'cp -r "$QUADLET_UNIT_DIRS" {tmp_path}/seen; echo "$@" >{tmp_path}/args; echo advice >&2',
    )
    files = {"a.container": b"[Container]\n", "a.container.d/x.conf": b"[Unit]\n"}
    (tmp_path / "scratch").mkdir()
    check = HostQuadletGenerator(generator=generator, scratch=str(tmp_path / "scratch"))
    assert await check.dry_run(files) == ()
    assert (tmp_path / "args").read_text() == "--user --dryrun\n"
    assert (tmp_path / "seen/a.container.d/x.conf").read_bytes() == b"[Unit]\n"
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_complaints_are_lines_that_name_the_file(tmp_path: Path) -> None:
    """Process id, folder, progress and advice are left out."""
    body = """
    echo "quadlet-generator[7]: Loading source unit file $QUADLET_UNIT_DIRS/a.container" >&2
    echo "quadlet-generator[7]: Warning: a.container specifies the image x" >&2
    echo "quadlet-generator[7]: converting \\"a.container\\": bad X in $QUADLET_UNIT_DIRS/a.container" >&2
    echo "converting \\"b.kube\\": no Yaml key specified" >&2
    exit 1
    """
    check = HostQuadletGenerator(generator=script(tmp_path / "generator", body))
    assert await check.dry_run({"a.container": b""}) == (
        'converting "a.container": bad X in a.container',
        'converting "b.kube": no Yaml key specified',
    )


async def test_a_failure_without_words_is_a_complaint(tmp_path: Path) -> None:
    """Silence is not acceptance."""
    complaints = await HostQuadletGenerator(generator=script(tmp_path / "generator", "exit 3")).dry_run({})
    assert complaints == ("the generator failed with status 3 and printed no error",)


async def test_a_generator_that_hangs_is_ended(tmp_path: Path) -> None:
    """It has a deadline."""
    check = HostQuadletGenerator(generator=script(tmp_path / "generator", "exec sleep 60"), timeout=0.1)
    with pytest.raises(DeadlineError):
        await check.dry_run({})


async def test_a_host_without_podman_is_told_apart(tmp_path: Path) -> None:
    """A missing generator is no verdict on the files."""
    with pytest.raises(PermanentError) as caught:
        await HostQuadletGenerator(generator=str(tmp_path / "none")).dry_run({})
    assert caught.value.reason == "command-missing"


async def test_no_file_is_written_outside(tmp_path: Path) -> None:
    """A name that leads out of the folder is refused before anything is written."""
    check = HostQuadletGenerator(generator=script(tmp_path / "generator", "exit 0"), scratch=str(tmp_path))
    with pytest.raises(PermanentError) as caught:
        await check.dry_run({"../a.container": b""})
    assert caught.value.reason == "unsafe-path"
    assert names_in(tmp_path) == ["generator"]


@pytest.mark.skipif(os.geteuid() != 0, reason="changes its uid")
async def test_it_runs_as_the_account_given() -> None:
    """The account can read the files, and is not root."""
    body = 'cat "$QUADLET_UNIT_DIRS"/a.container >/dev/null && [ "$(id -u)" = 65534 ]'
    with public_folder() as folder:
        generator = script(folder / "generator", body)
        check = HostQuadletGenerator(generator=generator, identity=ServiceAccount(65534, 65534))
        assert await check.dry_run({"a.container": b"x"}) == ()
