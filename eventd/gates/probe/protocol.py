"""The protocol between the daemon and the prober, in lines. Pure; both sides import it.

The daemon does not trust the answers, since a peer may have taken over the prober: an answer has one form, a maximal
length and a fixed vocabulary, and is matched as a whole. The prober trusts the questions.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum

from eventd.gates.model_predicate_atoms import ProbeKind

ANSWER_LIMIT = 96
"""The longest answer, in bytes."""
QUESTION_LIMIT = 16 * 1024
"""The longest question, in bytes; a predicate has at most 4,096 characters."""
_ANSWER = re.compile(rb'\{"id":([1-9][0-9]{0,14}),"outcome":"([a-z-]{1,16})","status":(0|[1-5][0-9]{2})\}')


class Outcome(StrEnum):
    """The result of a question."""

    ANSWERED = "answered"
    """TCP: connected. DNS: at least one address. HTTP: any status."""
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    NO_NAME = "no-such-name"
    RESOLVER = "no-resolver"
    """No server could say whether the name exists."""
    TLS = "tls"
    """The handshake failed, or the certificate is not trusted."""
    CLOSED = "closed"
    """The connection was closed before there was an answer."""
    NOT_HTTP = "not-http"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Question:
    """A question; its fields are those of `eventd.gates.model_predicate_atoms.Probe`."""

    id: int
    kind: ProbeKind
    host: str
    port: int
    url: str
    timeout: float
    """Seconds, for the whole question."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question."""

    outcome: Outcome
    status: int = 0
    """The HTTP status, 0 where there is none."""


def write_question(question: Question) -> bytes:
    """Return the line for a question."""
    fields = {name: getattr(question, name) for name in Question.__slots__}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def read_question(line: bytes) -> Question:
    """Parse a question. Raises ValueError, KeyError or TypeError if the line is not one."""
    fields = json.loads(line)
    return Question(
        id=int(fields["id"]),
        kind=ProbeKind(fields["kind"]),
        host=str(fields["host"]),
        port=int(fields["port"]),
        url=str(fields["url"]),
        timeout=float(fields["timeout"]),
    )


def write_answer(number: int, answer: Answer) -> bytes:
    """Return the line that answers question `number`."""
    return f'{{"id":{number},"outcome":"{answer.outcome}","status":{answer.status}}}\n'.encode()


def read_answer(line: bytes) -> tuple[int, Answer] | None:
    """Parse an answer. Return the number of the question and the answer, None if the line is not one."""
    match = _ANSWER.fullmatch(line) if len(line) <= ANSWER_LIMIT else None
    if match is None:
        return None
    word = match[2].decode("ascii")
    if word not in Outcome.__members__.values():
        return None
    return int(match[1]), Answer(Outcome(word), int(match[3]))
