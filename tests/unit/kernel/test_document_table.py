"""Document tables: typed documents, written through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from eventd.kernel.document_table import DocumentTable, write
from eventd.kernel.model.errors import PermanentError
from eventd.state.adapter import StateStore
from eventd.state.adapter_database import Database


@dataclass(frozen=True, slots=True)
class Note:
    text: str
    tags: frozenset[str] = frozenset()


def store_at(path: Path) -> StateStore:
    return StateStore(Database(str(path)), inline=True)


async def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    """A document survives the process, with its type."""
    table = DocumentTable(store_at(tmp_path / "db"), "note", Note)
    await table.put("a", Note("x", frozenset({"t"})))
    await table.put("b", Note("y"))
    await table.put("b", None)
    again = DocumentTable(store_at(tmp_path / "db"), "note", Note)
    await again.load()
    assert dict(again.rows) == {"a": Note("x", frozenset({"t"}))}


async def test_documents_of_one_kind_are_not_seen_by_another(tmp_path: Path) -> None:
    """Two kinds may use the same key."""
    store = store_at(tmp_path / "db")
    first, second = DocumentTable(store, "one", Note), DocumentTable(store, "two", Note)
    await first.put("a", Note("x"))
    await second.load()
    assert len(second) == 0


async def test_a_document_of_another_shape_is_an_error_that_names_it(tmp_path: Path) -> None:
    """A row that does not fit its type is damage, not a default."""
    store = store_at(tmp_path / "db")
    await store.put_documents([("note", "a", '{"nothing": 1}')])
    with pytest.raises(PermanentError, match="note 'a'") as caught:
        await DocumentTable(store, "note", Note).load()
    assert caught.value.reason == "state-damaged"


async def test_several_documents_are_written_all_or_none(tmp_path: Path) -> None:
    """A row that cannot be written leaves none of its transaction, on the disk or in memory."""
    database = Database(str(tmp_path / "db"))
    store = StateStore(database, inline=True)
    table = DocumentTable(store, "note", Note)
    database.execute(
        "CREATE TRIGGER no BEFORE INSERT ON documents WHEN NEW.key = 'b' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(Exception, match="no"):
        await write([(table, "a", Note("x")), (table, "b", Note("y"))])
    assert len(table) == 0
    assert await store.documents("note") == {}
