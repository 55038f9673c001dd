"""The width of a text in a picture: an upper bound, as the reader's sans-serif font is not known.

Pure. The sum over the classes of letters is close enough to cut a name where its space ends. Widths are in em, for the
widest font that the pictures name (DejaVu Sans).
"""

from __future__ import annotations

_BOLD = 1.2
_PLAIN, _OTHER = 0.64, 1.3
_MONO, _MONO_OTHER = 0.61, 1.3
_KINDS = (
    (0.37, "ijlIJ' ,./:;\\|f-"),
    (0.47, 'rt()[]!"'),
    (0.70, "ABCKRVXZ"),
    (0.84, "DGHNOQUw&#+<=>^~"),
    (1.00, "mMW%@…"),
)
_WIDTHS = {letter: width for width, letters in _KINDS for letter in letters}


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return the most pixels that a text takes at this font size."""
    ems = sum(_WIDTHS.get(letter, _PLAIN if letter.isascii() else _OTHER) for letter in text)
    return ems * size * (_BOLD if bold else 1.0)


def mono(text: str, size: float) -> float:
    """Return the same for a monospaced font."""
    return sum(_MONO if letter.isascii() or letter == "…" else _MONO_OTHER for letter in text) * size


def cut(text: str, room: float, size: float, *, bold: bool = False) -> str:
    """Return as much of a text as fits, with an ellipsis if it was cut."""
    if width(text, size, bold=bold) <= room:
        return text
    while text and width(text + "…", size, bold=bold) > room:
        text = text[:-1]
    return text.rstrip() + "…"
