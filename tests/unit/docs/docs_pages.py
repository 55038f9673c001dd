"""The pages that people read, cut into what the tests of the documentation look at.

Every Markdown file of the checkout's top, of `docs/` and of `examples/`. Of CHANGELOG.md, the newest section alone:
what older ones name was there when they were written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
CHANGELOG = Path("CHANGELOG.md")
_FENCE = re.compile(r"^ *```(?P<language>[^\n]*)\n(?P<text>.*?)^ *```", re.DOTALL | re.MULTILINE)


def paths() -> list[Path]:
    """Return each page, as of the checkout's top."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return sorted(path.relative_to(ROOT) for path in found)


def text_of(page: Path) -> str:
    """Return what a page says of the code as it is now."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if page == CHANGELOG:
        _, newest, *_ = re.split(r"^(?=## )", text, flags=re.MULTILINE)
        return newest
    return text


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return _FENCE.sub("", text)


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """Yield the code blocks: the words after the fence, and what is in it."""
    for found in _FENCE.finditer(text):
        yield found["language"].strip(), found["text"]


def spans(text: str) -> list[str]:
    """Return what stands in backticks outside of code blocks; one that goes over a line's end counts as one line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def anchors(text: str) -> set[str]:
    """Return what headings can be linked as, by the rule of the forges."""
    found: set[str] = set()
    for title in re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE):
        plain = re.sub(r"\]\([^)]*\)", "", title)
        slug = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
        again = sum(
            each == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", each) is not None for each in found
        )
        found.add(f"{slug}-{again}" if again else slug)
    return found
