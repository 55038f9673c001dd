"""Series of measurements, and how they are shown. Seconds throughout; pure."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Series:
    """Repetitions of one measurement."""

    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        self.values.append(value)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def json(self) -> dict[str, Any]:
        rounded = [round(value, 6) for value in self.values]
        return {"min": min(rounded), "median": round(self.median, 6), "max": max(rounded), "all": rounded}

    def __str__(self) -> str:
        return f"{seconds(self.median)} ({seconds(min(self.values))} to {seconds(max(self.values))})"


@dataclass(slots=True)
class Table:
    """Series by row and column, in the order in which they came."""

    rows: dict[str, dict[str, Series]] = field(default_factory=dict)

    def add(self, row: str, column: str, value: float) -> None:
        self.rows.setdefault(row, {}).setdefault(column, Series()).add(value)

    def median(self, row: str, column: str) -> float | None:
        series = self.rows.get(row, {}).get(column)
        return series.median if series else None

    def json(self) -> dict[str, Any]:
        return {row: {c: s.json() for c, s in columns.items()} for row, columns in self.rows.items()}


def seconds(value: float) -> str:
    """Return a time as a person reads it."""
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if abs(value) < limit:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.2f} s"


def ratio(above: Sequence[float], below: Sequence[float]) -> str:
    """Return the ratio of the medians of two series, and in brackets that of their best values.

    On a busy machine the best values are those that were least disturbed.
    """
    return f"{statistics.median(above) / statistics.median(below):.2f} ({min(above) / min(below):.2f})"


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table, its columns lined up, so that it reads well on a terminal too."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in lines
    )
