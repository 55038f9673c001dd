"""Makes foreign text safe to use in our own sentences: short, on one line, printable. Pure."""

from __future__ import annotations

MOST = 300
"""Most characters that are kept of a text from a peer."""


def printable(text: str, most: int = MOST) -> str:
    """Return text on one line, without control characters, cut to `most` characters."""
    cut = text[: most + 1] if len(text) > most else text
    if not (cut.isascii() and cut.isprintable()):
        # `isprintable` is False for what moves the cursor, reorders text, or is half a surrogate pair.
        cut = "".join(char if char.isprintable() else " " if char.isspace() else "?" for char in cut)
    return f"{cut[:most]}…" if len(text) > most else cut
