"""Shelves: typed documents, written through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from eventd.adapters.state import StateStore
from eventd.adapters.state_database import Database
from eventd.core.errors import PermanentError
from eventd.runtime.shelf import Shelf, write


@dataclass(frozen=True, slots=True)
class Note:
    text: str
    tags: frozenset[str] = frozenset()


def store_at(path: Path) -> StateStore:
    return StateStore(Database(str(path)), inline=True)


async def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    """A document survives the process, with its type."""
    shelf = Shelf(store_at(tmp_path / "db"), "note", Note)
    await shelf.put("a", Note("x", frozenset({"t"})))
    await shelf.put("b", Note("y"))
    await shelf.put("b", None)
    again = Shelf(store_at(tmp_path / "db"), "note", Note)
    await again.load()
    assert dict(again.rows) == {"a": Note("x", frozenset({"t"}))}


async def test_documents_of_one_kind_are_not_seen_by_another(tmp_path: Path) -> None:
    """Two kinds may use the same key."""
    store = store_at(tmp_path / "db")
    first, second = Shelf(store, "one", Note), Shelf(store, "two", Note)
    await first.put("a", Note("x"))
    await second.load()
    assert len(second) == 0


async def test_a_document_of_another_shape_is_an_error_that_names_it(tmp_path: Path) -> None:
    """A row that does not fit its type is damage, not a default."""
    store = store_at(tmp_path / "db")
    await store.put_documents([("note", "a", '{"nothing": 1}')])
    with pytest.raises(PermanentError, match="note 'a'") as caught:
        await Shelf(store, "note", Note).load()
    assert caught.value.reason == "state-damaged"


async def test_several_documents_are_written_all_or_none(tmp_path: Path) -> None:
    """A row that cannot be written leaves none of its transaction, on the disk or in memory."""
    database = Database(str(tmp_path / "db"))
    store = StateStore(database, inline=True)
    shelf = Shelf(store, "note", Note)
    database.execute(
        "CREATE TRIGGER no BEFORE INSERT ON documents WHEN NEW.key = 'b' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(Exception, match="no"):
        await write([(shelf, "a", Note("x")), (shelf, "b", Note("y"))])
    assert len(shelf) == 0
    assert await store.documents("note") == {}
