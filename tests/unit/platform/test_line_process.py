"""Scope: eventd.platform.processes.line_process, with real processes."""

from __future__ import annotations

import asyncio
import os

import pytest

from eventd.kernel.model.errors import PermanentError
from eventd.platform.processes.line_process import LineProcess
from eventd.platform.processes.line_streams import LongLine
from tests.processes import open_descriptors


class Heard:
    """What a process said, line by line, and how it ended."""

    def __init__(self, script: str, *, limit: int = 1000, long: LongLine = LongLine.SKIP) -> None:
        self.lines: list[bytes] = []
        self.more = asyncio.Event()
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.process = LineProcess(
            ["sh", "-c", script], line=self._line, ended=self.ended.set_result, limit=limit, long=long
        )

    def _line(self, line: bytes) -> None:
        assert not self.ended.done(), "a line after the end"
        self.lines.append(line)
        self.more.set()

    async def end(self) -> str:
        async with asyncio.timeout(60):
            return await self.ended


async def test_lines_are_handed_on_as_they_come_however_they_are_cut() -> None:
    """A line begins and ends where the process says, not where a pipe does; the end comes after the last one."""
    heard = Heard(
        "printf 'on'; sleep 0.02; printf 'e\\n\\ntw'; sleep 0.02; printf 'o\\nthree\\nrest'; exit 7"
    )
    assert await heard.end() == "sh exited with 7"
    assert heard.lines == [b"one", b"", b"two", b"three"]


async def test_many_lines_are_all_handed_on() -> None:
    """More than a pipe holds, at once."""
    heard = Heard("seq 1 100000")
    await heard.end()
    assert heard.lines == [b"%d" % n for n in range(1, 100001)]


@pytest.mark.parametrize("size", [21, 100, 65536, 300000])
async def test_a_line_that_is_too_long_is_left_out_as_a_whole(size: int) -> None:
    """Neither its beginning nor its end is taken for a line, wherever the reads cut it; the others come."""
    heard = Heard(
        f"echo first; head -c {size} /dev/zero | tr '\\0' x; sleep 0.02; printf 'xend\\nlast\\n'", limit=20
    )
    await heard.end()
    assert heard.lines == [b"first", b"last"]


@pytest.mark.parametrize("size", [21, 300000])
async def test_a_line_that_is_too_long_may_be_the_end(size: int) -> None:
    """Where no such line can be, the process is not what it should be."""
    heard = Heard(f"head -c {size} /dev/zero; sleep 100", limit=20, long=LongLine.END)
    assert await heard.end() == "sh was ended by signal 9: it wrote a line that is too long"
    assert heard.lines == []


async def test_what_is_sent_arrives() -> None:
    """Line by line, and answers come back."""
    heard = Heard('while read -r line; do echo "got $line"; done')
    for text in (b"one\n", b"two\n"):
        heard.more.clear()
        heard.process.send(text)
        async with asyncio.timeout(60):
            await heard.more.wait()
    assert heard.lines == [b"got one", b"got two"]
    await heard.process.stop()


async def test_after_a_kill_no_line_is_handed_on() -> None:
    """What it had written before is dropped, however much is read at once; only the end is told."""
    heard = Heard("head -c 60000 /dev/zero | tr '\\0' '\\n'; sleep 100")

    def kill(line: bytes) -> None:
        heard.lines.append(line)
        heard.process.kill()

    heard.process._line = kill
    assert await heard.end() == "sh was ended by signal 9"
    assert heard.lines == [b""]


async def test_stop_is_silent_and_leaves_nothing() -> None:
    """The process and its children are gone, nothing is called, all descriptors are given back."""
    before = open_descriptors()
    heard = Heard("sleep 100 & echo $!; wait")
    async with asyncio.timeout(60):
        await heard.more.wait()
    child = os.pidfd_open(int(heard.lines[0]))
    await heard.process.stop()
    await asyncio.sleep(0)
    assert not heard.ended.done()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(child, ended.set)
    async with asyncio.timeout(60):
        await ended.wait()
    asyncio.get_running_loop().remove_reader(child)
    os.close(child)
    assert open_descriptors() == before


async def test_a_grandchild_that_keeps_the_pipe_does_not_keep_it_alive() -> None:
    """When the process has ended, so has what it left behind, and the end is told."""
    before = open_descriptors()
    heard = Heard("sleep 100 & echo here; exit 0")
    assert await heard.end() == "sh exited with 0"
    assert heard.lines == [b"here"]
    assert open_descriptors() == before


async def test_the_end_says_the_last_that_was_said() -> None:
    """One printable line of standard error, of at most 500 characters."""
    heard = Heard("echo one >&2; printf 'two \\033[2J' >&2; exit 1")
    assert await heard.end() == "sh exited with 1: two ?[2J"


async def test_a_missing_command_is_an_error_at_once() -> None:
    """And leaves no descriptor behind."""
    before = open_descriptors()
    with pytest.raises(PermanentError) as caught:
        LineProcess(["eventd-no-such"], line=print, ended=print, limit=1, long=LongLine.SKIP)
    assert caught.value.reason == "command-missing"
    assert open_descriptors() == before
