"""The line of each key and array element of a TOML document, which tomllib does not report.

Only for text that tomllib has accepted: it finds positions and validates nothing.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]*")
_SPACE = re.compile(r"[ \t]*")
_BETWEEN = re.compile(r"(?:\s|#[^\n]*)*")


def locate(text: str) -> dict[Path, int]:
    """Return the line (from 1) of every table, key and array element, by path."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.found: dict[Path, int] = {}

    def document(self) -> None:
        table: Path = ()
        arrays: dict[Path, int] = {}
        self.skip(_BETWEEN)
        while self.at < len(self.text):
            if self.text.startswith("[[", self.at):
                self.at += 2
                path = self.key()
                count = arrays[path] = arrays.get(path, -1) + 1
                table = (*path, count)
                self.mark(path)
                self.at += 2
            elif self.text[self.at] == "[":
                self.at += 1
                table = self.key()
                self.at += 1
            else:
                self.pair(table)
                self.skip(_BETWEEN)
                continue
            self.mark(table)
            self.skip(_BETWEEN)

    def pair(self, table: Path) -> None:
        path = (*table, *self.key())
        self.mark(path)
        self.at += 1  # the equals sign
        self.skip(_SPACE)
        self.value(path)

    def value(self, path: Path) -> None:
        match self.text[self.at : self.at + 1]:
            case '"' | "'":
                self.string()
            case "[":
                self.at += 1
                index = 0
                while self.skip(_BETWEEN) != "]":
                    self.mark((*path, index))
                    self.value((*path, index))
                    index += 1
                    if self.skip(_BETWEEN) == ",":
                        self.at += 1
                self.at += 1
            case "{":
                self.at += 1
                while self.skip(_BETWEEN) != "}":
                    self.pair(path)
                    if self.skip(_BETWEEN) == ",":
                        self.at += 1
                self.at += 1
            case _:
                self.skip(_SCALAR)

    def key(self) -> Path:
        parts: list[str | int] = []
        while True:
            self.skip(_SPACE)
            if self.text[self.at] in "\"'":
                parts.append(self.string())
            else:
                bare = _BARE.match(self.text, self.at)
                assert bare is not None
                parts.append(bare[0])
                self.at = bare.end()
            if self.skip(_SPACE) != ".":
                return tuple(parts)
            self.at += 1

    def string(self) -> str:
        quote = self.text[self.at]
        mark = quote * 3 if self.text.startswith(quote * 3, self.at) else quote
        start = self.at = self.at + len(mark)
        while not self.text.startswith(mark, self.at):
            self.at += 2 if quote == '"' and self.text[self.at] == "\\" else 1
        content = self.text[start : self.at]
        self.at += len(mark)
        if len(mark) == 3:  # up to two more quotes belong to the content
            while self.text.startswith(quote, self.at):
                self.at += 1
        return content

    def skip(self, pattern: re.Pattern[str]) -> str:
        """Skip what matches, and return the character that follows."""
        match = pattern.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        return self.text[self.at : self.at + 1]

    def mark(self, path: Path) -> None:
        line = self.text.count("\n", 0, self.at) + 1
        for length in range(1, len(path) + 1):  # `[a.b]` is the first word on `a`, too
            self.found.setdefault(path[:length], line)
