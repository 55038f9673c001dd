"""Read questions, ask them side by side, write the answers; leave when the daemon closes the pipe."""

from __future__ import annotations

import asyncio
import os

from eventd.gates.probe.asking import Loop, ask
from eventd.gates.probe.protocol import QUESTION_LIMIT, Answer, Outcome, Question, read_question, write_answer


async def serve(questions: int = 0, answers: int = 1) -> None:
    """Serve the two descriptors until the first is at its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=QUESTION_LIMIT)
    # The transport owns the file; closed with the process.
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(questions, "rb", 0))
    running: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = loop.create_task(_serve_one(read_question(line), answers))
        running.add(task)
        task.add_done_callback(running.discard)


async def _serve_one(question: Question, answers: int) -> None:
    try:
        answer = await ask(question)
    except Exception:  # noqa: BLE001  whatever a peer can provoke is an answer, and never the end
        answer = Answer(Outcome.FAILED)
    # Shorter than PIPE_BUF, so written as a whole; the daemon reads all the time.
    os.write(answers, write_answer(question.id, answer))


def main() -> None:
    """Run until the daemon has had enough; refuses to run as root."""
    if os.geteuid() == 0:
        raise SystemExit("eventd-probe parses what the network sends, and does not run as root")
    loop = Loop()
    try:
        loop.run_until_complete(serve())
    except BrokenPipeError:
        pass
    finally:
        # Not waiting for threads in which a resolver hangs: nobody is there to be answered.
        os._exit(0)
