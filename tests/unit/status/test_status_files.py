"""Scope: status.controller_status_files over the simulated host, and status.adapter_status_folder on a real folder."""

from __future__ import annotations

import json
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from eventd.kernel.model.errors import TemporaryError
from eventd.status.adapter_status_folder import StatusFolder
from eventd.status.controller_status_files import StatusFiles
from eventd.status.documents import Identity
from eventd_simulators.virtual_time import virtual
from tests.simulated.daemon import Story, container

IDENTITY = Identity("alpha", "/srv/git", "main", 5.0)


class Folder:
    """Remembers what would have been written."""

    def __init__(self) -> None:
        self.files: dict[str, Mapping[str, Any]] = {"left": {}}
        self.writes: list[str] = []
        self.full = False

    async def write(self, documents: Mapping[str, Mapping[str, Any] | None]) -> None:
        if self.full:
            raise TemporaryError("cannot write", reason="status-not-written")
        for name, document in documents.items():
            self.writes.append(name)
            if document is None:
                self.files.pop(name, None)
            else:
                self.files[name] = document

    async def keep(self, names: Collection[str]) -> None:
        self.files = {name: each for name, each in self.files.items() if name in names}


@virtual()
async def test_a_file_is_written_when_its_workload_stands_otherwise() -> None:
    """Not for each look; without a line of a journal; gone with the workload; those of a life before go as well."""
    story = Story()
    await story.start()
    folder = Folder()
    files = StatusFiles(story.engine.queries, IDENTITY, folder, story.dispatcher.wall)  # type: ignore[arg-type]
    story.engine.passes.subscribe("test", files.observed)
    story.engine.steps.subscribe("test", files.stepped)
    async with anyio.create_task_group() as group:
        group.start_soon(files.run)
        story.push({**container("web"), **container("bad", "broken")})
        await story.quiet(60)
        assert sorted(folder.files) == ["bad", "web"]
        web = folder.files["web"]
        assert (web["name"], web["state"], web["host"]) == ("web", "converged", "alpha")
        assert web["daemon"]["started"] == 5.0
        assert 0 < web["written_at"] <= story.dispatcher.wall()
        assert [row["name"] for row in web["containers"]] == ["web"]
        assert folder.files["bad"]["state"] == "failed"
        assert "log" not in folder.files["bad"]
        assert json.dumps(web)
        before = folder.writes.count("web")
        for _ in range(5):
            await story.sync()
            await story.quiet(5)
        assert folder.writes.count("web") == before, "nothing changed"
        folder.full = True
        story.push({**container("web", "web2")})
        await story.quiet(60)
        folder.full = False
        story.push(container("web", "web3"))
        await story.quiet(60)
        assert folder.files["web"]["wanted_commit"] == story.world.remote.head
        group.cancel_scope.cancel()


async def test_files_are_whole_and_for_everyone_to_read(tmp_path: Path) -> None:
    """Mode 0644 in a folder of 0755, whatever the umask; replaced, removed, and no others left over."""
    folder = StatusFolder(str(tmp_path / "status"))
    await folder.write({"web": {"state": "failed"}, "db": {}, "../evil": {}})
    await folder.write({"web": {"state": "converged"}})
    path = tmp_path / "status" / "web.json"
    assert json.loads(path.read_text()) == {"state": "converged"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert sorted(each.name for each in path.parent.iterdir()) == ["db.json", "web.json"]
    assert not (tmp_path / "evil.json").exists()
    await folder.write({"db": None, "never": None})
    assert sorted(each.name for each in path.parent.iterdir()) == ["web.json"]
    await folder.keep(["other"])
    assert list(path.parent.iterdir()) == []


async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """It is tried again with the next change."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TemporaryError, match="cannot write the status"):
        await StatusFolder(str(tmp_path / "file" / "status")).write({"web": {}})
