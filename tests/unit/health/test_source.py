"""Scope: eventd.health.source on a made-up journal; eventd.platform.journal_follow on a made-up journalctl.

Podman's own entries, and a real journal, are in tests/host/test_fact_sources.py.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from eventd.health.model_events import HealthEvent, HealthOrigin
from eventd.health.model_facts import HealthFact
from eventd.health.source import ContainerHealthSource
from eventd.kernel.model.errors import EventdError, PermanentError
from eventd.kernel.model.events import KernelEvent
from eventd.kernel.model.facts import FactKey
from eventd.platform.journal_follow import Entry, JournalFollow, read_entry
from tests.processes import script
from tests.unit.kernel.recorder import Recorder

WEB = FactKey(HealthFact.CONTAINER, "web", "alice")
DB = FactKey(HealthFact.CONTAINER, "db", "bob")
ALICE, BOB = 1000, 1001


class FakeFollower:
    """What a follower is asked for, and whether it was stopped."""

    def __init__(self, matches: Sequence[str], after: str, entry: Callable[[Entry], None]) -> None:
        self.matches = matches
        self.after = after
        self.entry = entry
        self.stopped = False

    async def stop(self) -> None:
        self.stopped = True


class FakeJournal:
    """A journal that a test writes into; its followers get what matches, from their cursor on."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.followers: list[FakeFollower] = []
        self.looked_back: list[Sequence[str]] = []
        self.during_look_back: Callable[[], None] | None = None
        self.broken: EventdError | None = None
        self.ended: Callable[[str], None] | None = None
        self.boot = "b2"

    def log(
        self,
        event: str,
        *,
        uid: int = ALICE,
        name: str = "web",
        container: str = "c1",
        health: str = "",
        boot: str = "",
    ) -> None:
        """Write an entry as podman does."""
        fields = {"PODMAN_EVENT": event, "PODMAN_NAME": name, "PODMAN_ID": container}
        if health:
            fields["PODMAN_HEALTH_STATUS"] = health
        number = len(self.entries) + 1
        entry = Entry(f"cursor{number}", boot or self.boot, number * 1000, uid, fields)
        self.entries.append(entry)
        for follower in self.followers:
            if not follower.stopped and self._matches(entry, follower.matches):
                follower.entry(entry)

    def check(self, health: str, **more: object) -> None:
        self.log("health_status", health=health, **more)  # type: ignore[arg-type]

    @staticmethod
    def _matches(entry: Entry, matches: Sequence[str]) -> bool:
        wanted: dict[str, set[str]] = {}
        for match in matches:
            name, _, value = match.partition("=")
            wanted.setdefault(name, set()).add(value)
        has = {**entry.fields, "_UID": str(entry.uid), "_BOOT_ID": entry.boot}
        return all(has.get(name) in values for name, values in wanted.items())

    async def newest(self) -> Entry | None:
        if self.broken is not None:
            raise self.broken
        return self.entries[-1] if self.entries else None

    async def last(self, matches: Sequence[str], *, lines: int, fields: Sequence[str]) -> list[Entry]:
        assert "PODMAN_HEALTH_STATUS" in fields
        if self.broken is not None:
            raise self.broken
        self.looked_back.append(matches)
        found = [entry for entry in self.entries if self._matches(entry, matches)][-lines:]
        await asyncio.sleep(0)
        if self.during_look_back is not None:
            self.during_look_back()
        await asyncio.sleep(0)
        return found

    def follow(
        self,
        matches: Sequence[str],
        *,
        fields: Sequence[str],
        after: str,
        entry: Callable[[Entry], None],
        ended: Callable[[str], None],
    ) -> FakeFollower:
        assert "PODMAN_HEALTH_STATUS" in fields
        self.ended = ended
        follower = FakeFollower(matches, after, entry)
        self.followers.append(follower)
        known = [e.cursor for e in self.entries]
        for old in self.entries[known.index(after) + 1 if after else 0 :]:
            if self._matches(old, matches):
                entry(old)
        return follower


@asynccontextmanager
async def running(emit: Recorder, journal: FakeJournal) -> AsyncIterator[ContainerHealthSource]:
    source = ContainerHealthSource(emit, journal)
    async with anyio.create_task_group() as group:
        await group.start(source.run)
        yield source
        group.cancel_scope.cancel()
    assert all(follower.stopped for follower in journal.followers)


def health(emit: Recorder, key: FactKey = WEB) -> object:
    return emit.facts.get(key)


def reads(emit: Recorder) -> int:
    return emit.kinds().count(KernelEvent.READ)


async def test_nothing_is_followed_that_nobody_asks_for() -> None:
    """Without a gate on a container's health there is no process, and with none any more it ends."""
    emit, journal = Recorder(), FakeJournal()
    journal.check("healthy")
    async with running(emit, journal) as source:
        await asyncio.sleep(0.01)
        assert journal.followers == []
        source.want({WEB: ALICE})
        await emit.until(lambda: health(emit) == "healthy")
        source.want({})
        await emit.until(lambda: health(emit) is None)
        await asyncio.sleep(0)
        assert journal.followers[0].stopped


async def test_each_check_that_says_something_new_is_an_event() -> None:
    """What podman says of the checks becomes the fact, and saying the same again is no event."""
    emit, journal = Recorder(), FakeJournal()
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: reads(emit) == 1)
        assert health(emit) is None
        for status in ("starting", "unhealthy", "healthy"):
            journal.check(status)
            assert health(emit) == status
            seen = emit.seen[-1]
            assert (seen.origin, seen.kind, seen.subject) == (
                HealthOrigin.PODMAN,
                HealthEvent.HEALTH,
                "web",
            )
            assert (seen.scope, seen.attributes) == ("alice", {"health": status})
        before = len(emit.seen)
        journal.check("healthy")
        assert len(emit.seen) == before


@pytest.mark.parametrize("end", ["died", "remove"])
async def test_a_container_that_ended_has_no_health(end: str) -> None:
    """The fact is gone with the container; a check that was under way does not bring it back; a new one does."""
    emit, journal = Recorder(), FakeJournal()
    journal.check("healthy")
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: health(emit) == "healthy")
        journal.log(end)
        assert health(emit) is None
        journal.check("healthy")
        assert health(emit) is None
        journal.check("starting", container="c2")
        assert health(emit) == "starting"
        journal.check("healthy", container="c2")
        journal.log("start", container="c2")
        assert health(emit) is None


async def test_the_same_container_started_again_is_heard_again() -> None:
    """After `podman start` the checks of the same id count."""
    emit, journal = Recorder(), FakeJournal()
    for event in ("died", "init", "start"):
        journal.log(event)
    journal.check("healthy")
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: health(emit) == "healthy")


async def test_what_was_said_before_is_read_back() -> None:
    """The last word about the running container counts, however long nobody listened."""
    emit, journal = Recorder(), FakeJournal()
    journal.check("unhealthy")
    journal.check("healthy")
    journal.check("unhealthy", uid=BOB)
    journal.check("unhealthy", name="other")
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: reads(emit) == 1)
        assert health(emit) == "healthy"
        assert emit.seen[0].kind is KernelEvent.READ


async def test_what_was_said_before_it_died_is_not_read_back() -> None:
    """Also if the result of a last check was logged after the death."""
    emit, journal = Recorder(), FakeJournal()
    journal.check("healthy")
    journal.log("died")
    journal.check("healthy")
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: reads(emit) == 1)
        assert health(emit) is None


async def test_an_earlier_boot_does_not_count() -> None:
    """After a power cut there is a last healthy and no death."""
    emit, journal = Recorder(), FakeJournal()
    journal.check("healthy", boot="b1")
    journal.log("pull")
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: reads(emit) == 1)
        assert health(emit) is None


async def test_what_is_said_during_the_reading_back_is_not_lost() -> None:
    """The follower is there first, and what it tells meanwhile is newer than what is read."""
    emit, journal = Recorder(), FakeJournal()
    journal.check("healthy")
    journal.during_look_back = lambda: journal.check("unhealthy")
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: reads(emit) == 1)
        assert health(emit) == "unhealthy"


async def test_a_workload_can_lie_about_itself_only() -> None:
    """Fields that anybody can write are taken with the uid of the writer, which journald adds."""
    emit, journal = Recorder(), FakeJournal()
    async with running(emit, journal) as source:
        source.want({WEB: ALICE, DB: BOB})
        await emit.until(lambda: reads(emit) == 2)
        journal.check("healthy", uid=BOB, name="web")
        journal.check("healthy", uid=ALICE, name="db")
        journal.check("healthy", uid=0)
        assert (health(emit, WEB), health(emit, DB)) == (None, None)
        journal.check("healthy", uid=ALICE)
        assert (health(emit, WEB), health(emit, DB)) == ("healthy", None)


async def test_a_status_that_is_none_is_unknown() -> None:
    """Whatever else stands in the field is no health, and no text of a workload becomes a fact."""
    emit, journal = Recorder(), FakeJournal()
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: reads(emit) == 1)
        journal.check("healthy")
        journal.check("very healthy\x1b[2J")
        assert health(emit) is None


async def test_another_user_joins_without_losing_a_word() -> None:
    """The new follower begins where the old one stopped, so what is said in between is told by it."""
    emit, journal = Recorder(), FakeJournal()
    journal.log("pull")
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: reads(emit) == 1)
        old = journal.followers[0]
        assert "_UID=1001" not in old.matches
        old.stopped = True  # deaf, as while it is being replaced
        journal.check("healthy")
        source.want({WEB: ALICE, DB: BOB})
        await emit.until(lambda: health(emit) == "healthy")
        assert {"_UID=1000", "_UID=1001"} <= set(journal.followers[1].matches)
        assert len(journal.looked_back) == 2  # each container once


async def test_another_container_of_the_same_user_needs_no_other_follower() -> None:
    """One process serves all containers of all users that are asked for."""
    emit, journal = Recorder(), FakeJournal()
    cache = FactKey(HealthFact.CONTAINER, "cache", "alice")
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: reads(emit) == 1)
        source.want({WEB: ALICE, cache: ALICE})
        await emit.until(lambda: reads(emit) == 2)
        journal.check("healthy", name="cache")
        assert health(emit, cache) == "healthy"
        assert len(journal.followers) == 1


async def test_a_user_made_anew_is_another_user() -> None:
    """The same name with another uid is read back for that uid, and the old one's word is forgotten."""
    emit, journal = Recorder(), FakeJournal()
    journal.check("healthy")
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: health(emit) == "healthy")
        source.want({WEB: BOB})
        await emit.until(lambda: health(emit) is None)
        journal.check("unhealthy", uid=ALICE)
        assert health(emit) is None


async def test_a_follower_that_ends_is_a_gap_and_all_is_read_back() -> None:
    """What was said while nobody followed is found, and one that is broken is tried again."""
    emit, journal = Recorder(), FakeJournal()
    journal.check("healthy")
    async with running(emit, journal) as source:
        source.want({WEB: ALICE})
        await emit.until(lambda: health(emit) == "healthy")
        journal.followers[0].stopped = True
        journal.check("unhealthy")
        journal.broken = PermanentError("no journal", reason="journal-unreadable")
        assert journal.ended is not None
        journal.ended("journalctl was ended by signal 9")
        await emit.until(lambda: emit.kinds().count(KernelEvent.GAP) == 3)
        assert health(emit) == "healthy"
        journal.broken = None
        await emit.until(lambda: health(emit) == "unhealthy")


# The adapter.

LINE = {
    "__CURSOR": "s=1;i=2",
    "__MONOTONIC_TIMESTAMP": "123",
    "_BOOT_ID": "b",
    "_UID": "1000",
    "PODMAN_NAME": "web",
}


def test_an_entry_has_the_journals_own_fields_and_texts() -> None:
    """Fields of other kinds (several of one name, binary, too long) are left out."""
    line = json.dumps({**LINE, "A": ["x", "y"], "B": [104, 105], "C": None}).encode()
    entry = read_entry(line)
    assert entry is not None
    assert (entry.cursor, entry.boot, entry.monotonic, entry.uid) == ("s=1;i=2", "b", 123, 1000)
    assert entry.fields["PODMAN_NAME"] == "web"
    assert not {"A", "B", "C"} & entry.fields.keys()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"__CURSOR":"x"}',
        b'{"__CURSOR":"x","__MONOTONIC_TIMESTAMP":"y"}',
        b"[" * 99999,
    ],
)
def test_what_is_no_entry_is_none(line: bytes) -> None:
    """A line that cannot be understood is left out, and ends nothing."""
    assert read_entry(line) is None


async def test_a_follower_goes_on_over_lines_that_are_too_long(tmp_path: Path) -> None:
    """A workload can log anything, and so does not silence the others; the end is told after the last line."""
    good = json.dumps(LINE)
    body = f"echo '{good}'; head -c 300000 /dev/zero | tr '\\0' x; echo; echo nonsense; echo '{good}'; exit 4"
    entries: list[Entry] = []
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    JournalFollow(command=script(tmp_path / "journalctl", body)).follow(
        (), fields=(), after="", entry=entries.append, ended=ended.set_result
    )
    async with asyncio.timeout(60):
        assert await ended == "journalctl exited with 4"
    assert [entry.uid for entry in entries] == [1000, 1000]


async def test_the_command_lines(tmp_path: Path) -> None:
    """It looks back with `--lines`, follows after the cursor without a tail, and asks for no other field."""
    log = tmp_path / "log"
    body = f"echo \"$@\" >> {log}; echo '{json.dumps(LINE)}'"
    journal = JournalFollow(command=script(tmp_path / "journalctl", body))
    assert (await journal.last(["_UID=1"], lines=3, fields=("A",)))[0].uid == 1000
    ended = asyncio.Event()
    journal.follow(
        ["_UID=1"], fields=("A",), after="s=1;i=2", entry=lambda _: None, ended=lambda _: ended.set()
    )
    async with asyncio.timeout(60):
        await ended.wait()
    back, follow = log.read_text().splitlines()
    assert back == "--quiet --no-pager --output=json --output-fields=_BOOT_ID,_UID,A --lines=3 _UID=1"
    assert follow.endswith("_UID,A --follow --no-tail --merge --after-cursor=s=1;i=2 _UID=1")


async def test_a_journal_that_cannot_be_read_is_an_error_with_a_name(tmp_path: Path) -> None:
    """Not an empty journal."""
    with pytest.raises(PermanentError) as caught:
        await JournalFollow(command=script(tmp_path / "journalctl", "echo denied >&2; exit 1")).newest()
    assert caught.value.reason == "journal-unreadable"
