"""Checks calendar expressions of OnCalendar= (systemd.time(7)) in the repository. Pure.

It knows the grammar, not dates. It accepts what systemd accepts, as far as people commonly write it. systemd has the
last word: a timer that it refuses fails to start.
"""

from __future__ import annotations

import re

WORDS = frozenset(
    "minutely hourly daily monthly weekly yearly annually quarterly semiannually".split()  # noqa: SIM905
)
_DAY = "(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*"
_DAYS = re.compile(rf"{_DAY}(?:(?:\.\.|-){_DAY})?(?:,{_DAY}(?:(?:\.\.|-){_DAY})?)*,?", re.IGNORECASE)
_PART = r"(?:\*|\d+(?:\.\.\d+)?)(?:/\d+)?"
_LIST = rf"{_PART}(?:,{_PART})*"
_DATE = re.compile(rf"(?:{_LIST}-)?{_LIST}[-~]{_LIST}")
_TIME = re.compile(rf"({_LIST}):({_LIST})(?::({_LIST})(?:\.\d+)?)?")
_ZONE = re.compile(r"UTC|[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_+-]+)+")
LIMITS = (23, 59, 59)


def calendar_problem(text: str) -> str:
    """Return what is wrong with an expression, empty if nothing is."""
    words = text.split()
    if not text.isprintable():  # a line break would end the line in the timer's file
        return f"{text!r} is not a single line"
    if words and _ZONE.fullmatch(words[-1]) and len(words) > 1:
        words.pop()
    if len(words) == 1 and words[0].lower() in WORDS:
        return ""
    if words and _DAYS.fullmatch(words[0]):
        words.pop(0)
        if not words:
            return ""
    if words and _DATE.fullmatch(words[0]):
        words.pop(0)
        if not words:
            return ""
    time = _TIME.fullmatch(words[0]) if len(words) == 1 else None
    if time is None:
        return f"{text!r} is not a valid calendar expression"
    for part, most in zip(time.groups(), LIMITS, strict=True):
        numbers = re.findall(r"(?<![/\d])\d+", part or "")
        if any(int(number) > most for number in numbers):
            return f"{text!r} is not a valid time of day"
    return ""
