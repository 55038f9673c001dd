"""The paths that docs/explanation/architecture.md tells, hop by hop, and what is really called on the simulated host.

Owns how a hop is read from the page and how calls are traced. What happens to the host is `test_paths.py`'s to say.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from tests.unit.docs.docs_pages import ROOT

PAGE = "docs/explanation/architecture.md"
MOST = 15
"""Hops of one path: more than that is not a story that somebody keeps in their head."""
_HOP = re.compile(r"^\d+\. `([\w/]+\.py:[\w.]+)`", re.MULTILINE)


def hops(text: str, heading: str) -> list[str]:
    """Return the hops (`file:function`) of the numbered list below a heading of a page."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError(heading)
    return _HOP.findall(found[1])


def not_reached(path: Sequence[str], calls: Sequence[str]) -> str:
    """Return the first hop that was not called after the one before it; empty if all were."""
    left = iter(calls)
    return next((hop for hop in path if hop not in left), "")


@contextmanager
def traced(wanted: Collection[str]) -> Iterator[list[str]]:
    """Collect each call of one of these functions, in order; a coroutine that goes on was not called anew."""
    calls: list[str] = []
    root, frames = f"{ROOT}/", set[FrameType]()
    names = {hop.rpartition(":")[2] for hop in wanted}

    def profile(frame: FrameType, event: str, _argument: Any) -> None:
        code = frame.f_code
        if event != "call" or code.co_qualname not in names or frame in frames:
            return
        hop = f"{code.co_filename.removeprefix(root)}:{code.co_qualname}"
        if hop in wanted:
            frames.add(frame)  # held, so that no later one can be taken for it
            calls.append(hop)

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(before)
