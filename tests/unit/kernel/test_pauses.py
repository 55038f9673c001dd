"""Scope: nothing of the product becomes ready by sleeping: each pause in it is known, with what it is for."""

from __future__ import annotations

import ast
import re

from tests.unit.docs.docs_code import product

REASONS = {
    "next(…)": "before a lost source is connected again; it grows, and what is ready is told by the source",
    "backoff.delay(…)": "before a failed source is started again, or a silent name service asked again",
    "owed": "a caller's kind has used up its part of the daemon's time",
    "0": "lets others run between the pages of a long answer",
    "SPACING": "the least distance of two looks that events ask for",
    "PAUSE": "before leaving after a failure to start, so that the start limit is not reached",
    "self.watchdog_interval": "between two signs of life for systemd",
    "": "for ever: only cancelling ends it",
}
"""How long -> why. What waits for something to become ready subscribes, reads, and waits with a deadline instead."""


def pauses(tree: ast.AST) -> list[str]:
    """Return what each `sleep` of a module is given."""
    return [
        re.sub(r"^(next|backoff\.delay)\(.*\)$", r"\1(…)", ", ".join(map(ast.unparse, node.args)))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and (node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
        in ("sleep", "sleep_forever", "sleep_until")
    ]


def test_every_pause_has_its_reason() -> None:
    """A new `sleep` is a new row, or a wait for what it is about; a row that nothing needs goes."""
    assert {pause for tree in product().values() for pause in pauses(tree)} == set(REASONS)


def test_a_sleep_for_readiness_would_be_found() -> None:
    """However it is imported."""
    assert pauses(ast.parse("import time\nwhile not ready():\n    time.sleep(0.1)")) == ["0.1"]
    assert pauses(ast.parse("from anyio import sleep\nasync def f():\n    await sleep(2)")) == ["2"]
