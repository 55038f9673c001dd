"""The look at unit folders: what is found, what is not, and where it ends."""

from __future__ import annotations

from pathlib import Path

from eventd.audit.adapter_foreign_files import of, scan
from eventd.audit.model_places import Names, Place, Rank

NAMES = Names(
    units=frozenset({"web.service", "tick.timer"}),
    quadlet_units=frozenset({"web.service"}),
    drop_ins=frozenset({"web.service.d", "service.d"}),
    quadlets=frozenset({"web.container"}),
    quadlet_drop_ins=frozenset({"web.container.d", "container.d"}),
)


def write(path: Path, text: str = "x") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_what_concerns_a_workload_is_found_and_nothing_else(tmp_path: Path) -> None:
    """Unit files that win over ours, and drop-ins of its units."""
    found = {
        write(tmp_path / "web.service"),
        write(tmp_path / "web.service.d" / "a.conf"),
        write(tmp_path / "service.d" / "b.conf"),
    }
    for other in (
        "tick.timer",
        "other.service",
        "web.service.d/note.txt",
        "other.service.d/a.conf",
        "deep/web.service",
    ):
        write(tmp_path / other)
    seen = scan([Place(str(tmp_path), Rank.MIDDLE)], of(NAMES), None)
    assert set(seen.files) == found
    assert seen.folders == {str(tmp_path / "web.service.d"), str(tmp_path / "service.d")}
    assert not seen.problem
    assert str(tmp_path / "tick.timer") in scan([Place(str(tmp_path), Rank.FIRST)], of(NAMES), None).files


def test_quadlet_looks_below_but_not_at_the_folders_of_other_users(tmp_path: Path) -> None:
    """In the home every folder counts; in the folder of all users those called like a number are theirs."""
    deep, theirs = (
        write(tmp_path / "a" / "b" / "web.container"),
        write(tmp_path / "1001" / "container.d" / "x.conf"),
    )
    mine = scan([Place(str(tmp_path), Rank.QUADLET)], of(NAMES), None)
    assert set(mine.files) == {deep, theirs}
    assert str(tmp_path / "a" / "b") in mine.folders
    assert set(scan([Place(str(tmp_path), Rank.QUADLET_LATE)], of(NAMES), None).files) == set()


def test_masks_are_told_apart(tmp_path: Path) -> None:
    """A link to /dev/null and an empty file mask; another link does not, also if it dangles."""
    (tmp_path / "web.service").symlink_to("/dev/null")
    drop_in = tmp_path / "web.service.d" / "a.conf"
    write(drop_in, "")
    (drop_in.parent / "b.conf").symlink_to("/nowhere")
    seen = scan([Place(str(tmp_path), Rank.MIDDLE)], of(NAMES), None)
    assert seen.masks == {str(tmp_path / "web.service"), str(drop_in)}
    assert len(seen.files) == 3


def test_a_change_of_a_file_is_another_signature(tmp_path: Path) -> None:
    """Of the file, and of what a link leads to."""
    path = Path(write(tmp_path / "real"))
    (tmp_path / "web.service").symlink_to(path)
    places = [Place(str(tmp_path), Rank.MIDDLE)]
    before = scan(places, of(NAMES), None).files
    assert scan(places, of(NAMES), None).files == before
    path.write_text("longer")
    assert scan(places, of(NAMES), None).files != before


def test_too_many_entries_are_a_problem_and_no_endless_look(tmp_path: Path) -> None:
    """A link to a folder above does not go round for ever either."""
    for number in range(30):
        write(tmp_path / f"f{number}")
    (tmp_path / "up").symlink_to(tmp_path)
    assert "more than 20" in scan([Place(str(tmp_path), Rank.QUADLET)], of(NAMES), None, 20).problem
    assert "more than 100" in scan([Place(str(tmp_path), Rank.QUADLET)], of(NAMES), None, 100).problem


def test_what_is_not_there_is_nothing(tmp_path: Path) -> None:
    """Most of these folders do not exist, and no folder at all is none either."""
    write(tmp_path / "file")
    places = [Place(str(tmp_path / name), Rank.MIDDLE) for name in ("missing", "file")]
    assert scan(places, of(NAMES), None) == scan([], of(NAMES), None)
