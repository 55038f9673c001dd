"""What root suspends while no daemon runs is written down, and read by the next start; a damaged note suspends all."""

from __future__ import annotations

from pathlib import Path

import pytest

from eventd.kernel.model.errors import PermanentError
from eventd.overrides import adapter_suspend_notes as suspend_notes
from eventd.overrides.adapter_suspend_notes import Note


def test_notes_are_read_as_they_were_written(tmp_path: Path) -> None:
    """One of a workload, one of the host; the second of a workload takes the first one's place."""
    state = tmp_path / "state"
    suspend_notes.write(str(state), Note("web", "root", "first"))
    path = Path(suspend_notes.write(str(state), Note("web", "ann", "repair")))
    suspend_notes.write(str(state), Note("", "root", "all"))
    assert [note for _, note in suspend_notes.read(str(state))] == [
        Note("", "root", "all"),
        Note("web", "ann", "repair"),
    ]
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in path.parent.iterdir() if each.name.startswith(".")] == []


def test_a_damaged_note_suspends_everything(tmp_path: Path) -> None:
    """Somebody wanted something left alone, and it is not known what."""
    folder = tmp_path / suspend_notes.FOLDER
    folder.mkdir()
    (folder / "web.json").write_text("{")
    ((path, note),) = suspend_notes.read(str(tmp_path))
    assert (note.workload, path.name) == ("", "web.json")
    assert "is damaged" in note.why


def test_a_folder_that_is_not_there_has_no_notes(tmp_path: Path) -> None:
    """As on every ordinary start."""
    assert list(suspend_notes.read(str(tmp_path))) == []


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """It is not taken for done."""
    (tmp_path / suspend_notes.FOLDER).write_text("a file in the way")
    with pytest.raises(PermanentError, match="cannot write"):
        suspend_notes.write(str(tmp_path), Note("web", "root", ""))
