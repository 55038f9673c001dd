"""Parses predicates: `all(unit:network-online.target, mount:/srv/photos)`. Mistakes become diagnostics.

Pure. The grammar is in docs/reference/predicates.md; the texts come from `requires` and `[health] expect` of
a `workload.toml`, from the host's configuration and from `waits.toml`. Next: `eventd.gates.model_predicates`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from eventd.gates.model_predicate_read import MistakeError, atom
from eventd.gates.model_predicate_scope import NOWHERE, Scope
from eventd.gates.model_predicates import All, Any, Not, Predicate
from eventd.kernel.model.diagnostics import Diagnostic, Severity
from eventd.kernel.model.located import Located
from eventd.kernel.model.names import did_you_mean

MAX_TEXT = 4096
"""The longest predicate, in characters."""
MAX_DEPTH = 16
COMBINATORS = ("all", "any", "not")
_WORD = re.compile(r"\s*([A-Za-z_-]+)\s*\(")


def parse(place: Located, scope: Scope = NOWHERE, key: str = "") -> Predicate | Diagnostic:
    """Parse one predicate. `key`: the TOML key that it is written under, for the diagnostic."""
    try:
        return _Parser(place.text, scope).whole()
    except MistakeError as mistake:
        return Diagnostic(
            Severity.ERROR, place.file, place.line, key, mistake.message, mistake.hint, mistake.code
        )


def parse_all(
    places: Iterable[Located], scope: Scope = NOWHERE, key: str = ""
) -> tuple[tuple[Predicate, ...], tuple[Diagnostic, ...]]:
    """Parse a list. Return the valid predicates, and the errors in the others."""
    results = [parse(place, scope, key) for place in places]
    return (
        tuple(each for each in results if not isinstance(each, Diagnostic)),
        tuple(each for each in results if isinstance(each, Diagnostic)),
    )


class _Parser:
    """A recursive descent parser of one text."""

    def __init__(self, text: str, scope: Scope) -> None:
        self.text = text
        self.at = 0
        self.scope = scope

    def whole(self) -> Predicate:
        if len(self.text) > MAX_TEXT:
            raise MistakeError(f"the predicate is longer than {MAX_TEXT} characters")
        if not self.text.strip():
            raise MistakeError("the predicate is empty")
        if any(ord(char) < 32 or ord(char) == 127 for char in self.text):
            raise MistakeError("the predicate has a control character in it")
        predicate = self.expression(0)
        if rest := self.text[self.at :].strip():
            raise MistakeError(
                f"unexpected {rest!r} after the end of the predicate", "write several as a list, or all(…, …)"
            )
        return predicate

    def expression(self, depth: int) -> Predicate:
        if depth > MAX_DEPTH:
            raise MistakeError(f"all, any and not are nested more than {MAX_DEPTH} deep")
        if word := _WORD.match(self.text, self.at):
            return self.combinator(word, depth)
        return atom(self.word(depth), self.scope)

    def combinator(self, word: re.Match[str], depth: int) -> Predicate:
        name = word[1].lower()
        if name not in COMBINATORS:
            raise MistakeError(
                f"{word[1]}(…) is not a predicate", did_you_mean(name, COMBINATORS), "unknown-predicate"
            )
        self.at = word.end()
        members: list[Predicate] = []
        while True:
            if self.peek() == ")":
                break
            members.append(self.expression(depth + 1))
            if self.peek() == ",":
                self.at += 1
            elif self.peek() != ")":
                rest = self.text[self.at :].strip()
                what = f"unexpected {rest[:20]!r}:" if rest else "the text ends too early:"
                raise MistakeError(f"{what} expected a comma or the end of {name}(…)", "close it with )")
        self.at += 1
        if not members:
            raise MistakeError(f"{name}() is empty")
        if name == "not":
            if len(members) > 1:
                raise MistakeError("not(…) takes one predicate", "write not(any(…, …)) or not(all(…, …))")
            return Not(members[0])
        return All(tuple(members)) if name == "all" else Any(tuple(members))

    def peek(self) -> str:
        """Skip white space and return the next character, empty at the end."""
        while self.text[self.at : self.at + 1].isspace():
            self.at += 1
        return self.text[self.at : self.at + 1]

    def word(self, depth: int) -> str:
        """Return the text of an atom: quoted, or up to a comma or parenthesis that does not belong to it."""
        if self.peek() == "'":
            end = self.text.find("'", self.at + 1)
            if end < 0:
                raise MistakeError("a single quote is not closed")
            word, self.at = self.text[self.at + 1 : end], end + 1
            return word
        start, opened = self.at, 0
        while depth and self.at < len(self.text):
            match self.text[self.at]:
                case "(":
                    opened += 1
                case ")" if opened:
                    opened -= 1
                case ")":
                    break
                case "," if not opened:
                    break
                case _:
                    pass
            self.at += 1
        if not depth:
            self.at = len(self.text)
        word = self.text[start : self.at].strip()
        if not word:
            raise MistakeError(
                "a predicate is missing before " + (repr(self.peek()) if self.peek() else "the end")
            )
        return word
