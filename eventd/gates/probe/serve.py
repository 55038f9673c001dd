"""The prober's main loop: reads questions, asks them in parallel, writes answers; exits when the pipe is closed."""

from __future__ import annotations

import asyncio
import os

from eventd.gates.probe.asking import Loop, ask
from eventd.gates.probe.protocol import QUESTION_LIMIT, Answer, Outcome, Question, read_question, write_answer


async def serve(questions: int = 0, answers: int = 1) -> None:
    """Serve until the descriptor for questions is at its end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=QUESTION_LIMIT)
    # The transport owns the file, which is closed with the process.
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(questions, "rb", 0))
    running: set[asyncio.Task[None]] = set()
    while line := await reader.readline():
        task = loop.create_task(_serve_one(read_question(line), answers))
        running.add(task)
        task.add_done_callback(running.discard)


async def _serve_one(question: Question, answers: int) -> None:
    try:
        answer = await ask(question)
    except Exception:  # noqa: BLE001  whatever a peer provokes becomes an answer, and does not end the prober
        answer = Answer(Outcome.FAILED)
    # Shorter than PIPE_BUF, so it is written atomically; the daemon reads all the time.
    os.write(answers, write_answer(question.id, answer))


def main() -> None:
    """Run until the daemon closes the pipe. Refuses to run as root."""
    if os.geteuid() == 0:
        raise SystemExit("eventd-probe parses data from the network, and must not run as root")
    loop = Loop()
    try:
        loop.run_until_complete(serve())
    except BrokenPipeError:
        pass
    finally:
        # Do not wait for threads with a hanging resolver: nobody is left to answer.
        os._exit(0)
