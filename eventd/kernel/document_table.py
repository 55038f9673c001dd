"""A document table: typed documents of one kind, in memory. Every change is written to the store first.

It holds what eventd remembers besides ownership records: approvals, suspensions, rollbacks, image digests, volumes.
Each kind is a frozen dataclass. Its JSON is validated when it is read, so a damaged row is an error at the start.
`write` changes rows of several tables in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from eventd.kernel.model.errors import PermanentError
from eventd.kernel.ports import DocumentStore
from eventd.kernel.whole import wholly

T = TypeVar("T")


class DocumentTable(Generic[T]):
    """Documents of one kind, by key."""

    def __init__(self, store: DocumentStore, kind: str, of: type[T]) -> None:
        """Set the kind. Nothing is read before `load`."""
        self._store = store
        self._kind = kind
        self._codec = TypeAdapter(of)
        self._rows: dict[str, T] = {}

    async def load(self) -> None:
        """Read everything. Raises PermanentError(reason="state-damaged") naming the document."""
        rows: dict[str, T] = {}
        for key, text in (await self._store.documents(self._kind)).items():
            try:
                rows[key] = self._codec.validate_json(text)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                raise PermanentError(
                    f"the state file's {self._kind} {key!r} cannot be read: {first['msg']}",
                    reason="state-damaged",
                ) from error
        self._rows = rows

    def get(self, key: str) -> T | None:
        """Return one document."""
        return self._rows.get(key)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._rows))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Mapping[str, T]:
        """All documents: a live view, read-only."""
        return self._rows

    async def put(self, key: str, value: T | None) -> None:
        """Write one document; None deletes it."""
        if self._rows.get(key) != value:
            await write([(self, key, value)])

    def _row(self, key: str, value: T | None) -> tuple[str, str, str | None]:
        return self._kind, key, None if value is None else self._codec.dump_json(value).decode()

    def _keep(self, key: str, value: T | None) -> None:
        if value is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = value


@wholly
async def write(changes: Iterable[tuple[DocumentTable[Any], str, Any]]) -> None:
    """Write documents of several tables of one store in one transaction.

    Memory is updated after the disk, even if the caller is cancelled.
    """
    todo = list(changes)
    if not todo:
        return
    await todo[0][0]._store.put_documents([table._row(key, value) for table, key, value in todo])  # noqa: SLF001
    for table, key, value in todo:
        table._keep(key, value)  # noqa: SLF001
