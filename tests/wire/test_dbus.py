"""Scope: `eventd.platform.dbus.connection` on a real dbus-daemon. What its users rely on, for either library."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from pathlib import Path

import pytest
from dbus_fast import Message, Variant

from eventd.kernel.model.errors import DeadlineError, DisconnectedError, PermanentError, TemporaryError
from eventd.platform.dbus import peer_socket
from eventd.platform.dbus.connection import Bus, Signal
from tests.processes import open_descriptors
from tests.wire.bus_daemon import BusDaemon
from tests.wire.fakes.peer import Peer, failure

NAME = "org.example.Peer"
PATH = "/org/example"
FACE = "org.example.Face"
MATCH = f"type='signal',sender='{NAME}'"
NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")


async def _peer(address: str, answer=None, name: str = NAME) -> Peer:
    peer = Peer(name, answer)
    await peer.start(address)
    return peer


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_reply_comes_with_its_variants_unwrapped(bus: Bus, bus_daemon: BusDaemon):
    """Values inside variants, dictionaries and structs are plain values for the caller."""
    body = [{"a": Variant("(sa{sv})", ["x", {"b": Variant("as", ["y"])}])}]
    peer = await _peer(bus_daemon.address, lambda call: Message.new_method_return(call, "a{sv}", body))
    reply = await bus.call(NAME, PATH, FACE, "Get", reply="a{sv}")
    name, inner = reply[0]["a"]
    assert (name, inner) == ("x", {"b": ["y"]})
    await peer.stop()


async def test_a_call_ends_at_its_deadline_and_its_late_reply_is_harmless(bus: Bus, bus_daemon: BusDaemon):
    """DeadlineError names the call; the connection stays good, and nothing is kept of the call."""
    peer = await _peer(bus_daemon.address)
    peer.held["Slow"] = []
    with pytest.raises(DeadlineError, match=r"Slow of org\.example\.Peer"):
        await bus.call(NAME, PATH, FACE, "Slow", timeout=0.05)
    assert not bus._calls._pending
    peer.release("Slow")
    await bus.call(NAME, PATH, FACE, "Quick", timeout=60)
    assert bus.closed is None
    await peer.stop()


async def test_a_cancelled_call_leaves_nothing_behind(bus: Bus, bus_daemon: BusDaemon):
    """After a cancellation neither we nor the library keep a reply handler; the late reply is dropped."""
    peer = await _peer(bus_daemon.address)
    peer.held["Slow"] = []
    applied = []
    task = asyncio.create_task(bus.call(NAME, PATH, FACE, "Slow", apply=applied.append))
    await peer.until_called("Slow")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not bus._calls._pending
    assert not [serial for serial in bus._connection._method_return_handlers if serial > 1]  # 1 is Hello
    peer.release("Slow")
    await bus.call(NAME, PATH, FACE, "Quick")
    assert applied == []
    await peer.stop()


async def test_calls_end_when_the_bus_dies_before_and_after(bus: Bus, bus_daemon: BusDaemon):
    """A call under way and a call made later both end with DisconnectedError, not at their deadline."""
    peer = await _peer(bus_daemon.address)
    peer.held["Slow"] = []
    closed = asyncio.Event()
    bus.on_closed(closed.set)
    task = asyncio.create_task(bus.call(NAME, PATH, FACE, "Slow", timeout=60))
    await peer.until_called("Slow")
    bus_daemon.kill()
    with pytest.raises(DisconnectedError):
        await task
    await asyncio.wait_for(closed.wait(), 60)
    with pytest.raises(DisconnectedError):
        await bus.call(NAME, PATH, FACE, "Later", timeout=60)


async def test_an_idle_connection_notices_that_the_bus_died(bus: Bus, bus_daemon: BusDaemon):
    """The close callback comes without any call, and a callback registered too late is called at once."""
    closed = asyncio.Event()
    bus.on_closed(closed.set)
    bus_daemon.kill()
    await asyncio.wait_for(closed.wait(), 60)
    late = []
    bus.on_closed(lambda: late.append(1))
    assert late == [1]


async def test_closing_ends_calls_and_gives_the_descriptor_back(bus_daemon: BusDaemon):
    """`close` is final, may be repeated, and leaves no open socket."""
    before = open_descriptors()
    bus = await Bus.connect(bus_daemon.address, timeout=60)
    peer = await _peer(bus_daemon.address)
    peer.held["Slow"] = []
    task = asyncio.create_task(bus.call(NAME, PATH, FACE, "Slow"))
    await peer.until_called("Slow")
    await bus.close()
    await bus.close()
    with pytest.raises(DisconnectedError):
        await task
    await peer.stop()
    assert open_descriptors() == before


async def test_a_reply_is_applied_at_its_place_among_the_signals(bus: Bus, bus_daemon: BusDaemon):
    """Signal, reply, signal in one burst are seen in that order, though the caller runs only afterwards."""
    seen = []
    peer = await _peer(bus_daemon.address)

    def burst(call: Message) -> None:
        peer.signal(PATH, FACE, "Changed", "s", ["before"])
        peer.send(Message.new_method_return(call, "s", ["reply"]))
        for _ in range(50):
            peer.signal(PATH, FACE, "Changed", "s", ["after"])

    peer.answer = burst
    await bus.track(NAME)
    await bus.add_match(MATCH)
    bus.on(NAME, FACE, "Changed", "s", lambda signal: seen.append(signal.body[0]))
    await bus.call(NAME, PATH, FACE, "Read", reply="s", apply=lambda body: seen.append(body[0]))
    peer.answer = None
    await bus.call(NAME, PATH, FACE, "Barrier")
    assert seen == ["before", "reply"] + ["after"] * 50
    await peer.stop()


async def test_fifty_thousand_signals_arrive_all_and_in_order(bus: Bus, bus_daemon: BusDaemon):
    """Nothing is lost and nothing overtakes, however fast they come."""
    count = 50_000
    peer = await _peer(bus_daemon.address)
    seen: list[int] = []
    done = asyncio.Event()

    def handler(signal: Signal) -> None:
        seen.append(signal.body[0])
        if len(seen) == count:
            done.set()

    await bus.track(NAME)
    await bus.add_match(MATCH)
    bus.on(NAME, FACE, "Tick", "u", handler)
    for number in range(count):
        peer.signal(PATH, FACE, "Tick", "u", [number])
    await asyncio.wait_for(done.wait(), 280)
    assert seen == list(range(count))
    await peer.stop()


async def test_calls_are_kept_while_the_bus_takes_none(bus: Bus, bus_daemon: BusDaemon):
    """A full socket is waited for; neither library's idea that it means a lost connection gets through."""
    peer = await _peer(bus_daemon.address)
    bus_daemon.freeze()
    calls = [asyncio.create_task(bus.call(NAME, PATH, FACE, "Echo", "s", ["x" * 4000])) for _ in range(500)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bus_daemon.thaw()
    await asyncio.gather(*calls)
    assert peer.count("Echo") == 500
    await peer.stop()


async def test_a_forged_signal_is_ignored(bus: Bus, bus_daemon: BusDaemon):
    """A signal that somebody sends straight to us is not taken for one of the name's owner."""
    seen = []
    peer = await _peer(bus_daemon.address)
    stranger = await _peer(bus_daemon.address, name="")
    await bus.track(NAME)
    await bus.add_match(MATCH)
    bus.on(NAME, FACE, "Changed", "s", lambda signal: seen.append(signal.body[0]))
    ours = bus._connection.unique_name
    stranger.signal(PATH, FACE, "Changed", "s", ["forged"], to=ours)
    stranger.signal(
        "/org/freedesktop/DBus",
        "org.freedesktop.DBus",
        "NameOwnerChanged",
        "sss",
        [NAME, peer.unique, stranger.unique],
        to=ours,
    )
    stranger.signal(PATH, FACE, "Changed", "s", ["forged again"], to=ours)
    # One connection's messages are in order: once its ping is answered, we have had its signals.
    await stranger.bus.call(
        Message(destination=ours, path="/", interface="org.freedesktop.DBus.Peer", member="Ping")
    )
    peer.signal(PATH, FACE, "Changed", "s", ["genuine"])
    await bus.call(NAME, PATH, FACE, "Barrier")
    assert seen == ["genuine"]
    await stranger.stop()
    await peer.stop()


async def test_what_strangers_send_is_dropped_before_it_is_parsed(bus: Bus, bus_daemon: BusDaemon):
    """150 MB of numbers to our unique name, and names of the routes that we listen to: nothing is made of them."""
    peer = await _peer(bus_daemon.address)
    stranger = await _peer(bus_daemon.address, name="")
    await bus.track(NAME)
    bus.on(NAME, FACE, "Changed", "au", lambda _: pytest.fail("forged"))
    ours = bus._connection.unique_name
    await bus.call(NAME, PATH, FACE, "Barrier")
    before = _resident()
    signal = Message.new_signal(PATH, FACE, "Changed", "ay", [bytes(3 << 20)])
    signal.destination = ours
    for _ in range(50):
        await stranger.bus.send(signal)
    await stranger.bus.call(
        Message(destination=ours, path="/", interface="org.freedesktop.DBus.Peer", member="Ping")
    )
    assert bus._connection.filter.dropped >= 50
    assert _resident() - before < 32 << 20
    await bus.call(NAME, PATH, FACE, "Barrier")
    await stranger.stop()
    await peer.stop()


async def test_a_reply_of_other_types_is_an_error_of_that_call_alone(bus: Bus, bus_daemon: BusDaemon):
    """On the system's bus: the call ends at once, with what was wrong, and the connection lives."""
    peer = await _peer(bus_daemon.address, lambda call: Message.new_method_return(call, "as", [["x"]]))
    with pytest.raises(TemporaryError, match="'as' instead of 'a\\(ssssssouso\\)'") as raised:
        await bus.call(NAME, PATH, FACE, "List", reply="a(ssssssouso)", timeout=60)
    assert raised.value.reason == "bad-reply"
    peer.answer = Message.new_method_return
    with pytest.raises(TemporaryError, match="'' instead of 's'"):
        await bus.call(NAME, PATH, FACE, "Get", reply="s", timeout=60)
    assert bus.closed is None
    await peer.stop()


async def test_a_reply_that_is_not_understood_ends_the_call_and_the_connection(
    bus: Bus, bus_daemon: BusDaemon
):
    """Whatever `apply` makes of it: who called is told at once, not at the deadline."""
    peer = await _peer(bus_daemon.address, lambda call: Message.new_method_return(call, "s", ["x"]))
    with pytest.raises(DisconnectedError, match="is invalid"):
        await bus.call(NAME, PATH, FACE, "Get", reply="s", timeout=60, apply=lambda body: body[17])
    assert bus.closed is not None
    await peer.stop()


async def test_the_owner_of_a_name_is_followed(bus: Bus, bus_daemon: BusDaemon):
    """`changed` is told of leaving and coming; signals of the new owner count from its first one on."""
    told: asyncio.Queue[str] = asyncio.Queue()
    assert await bus.track(NAME, told.put_nowait) == ""
    await bus.add_match(MATCH)
    seen: asyncio.Queue[str] = asyncio.Queue()
    bus.on(NAME, FACE, "Changed", "s", lambda signal: seen.put_nowait(signal.body[0]))
    for value in ("first", "second"):
        peer = await _peer(bus_daemon.address)
        peer.signal(PATH, FACE, "Changed", "s", [value])
        assert await asyncio.wait_for(told.get(), 60) == peer.unique
        assert await asyncio.wait_for(seen.get(), 60) == value
        assert bus.owner(NAME) == peer.unique
        await peer.stop()
        assert await asyncio.wait_for(told.get(), 60) == ""
    assert bus.owner(NAME) == ""


async def test_a_failing_handler_closes_the_connection(bus: Bus, bus_daemon: BusDaemon, caplog):
    """Half a state is worse than none: the owner of the connection gets to read everything again."""
    peer = await _peer(bus_daemon.address)
    await bus.track(NAME)
    await bus.add_match(MATCH)
    closed = asyncio.Event()
    bus.on_closed(closed.set)
    bus.on(NAME, FACE, "Changed", "s", lambda signal: signal.body[17])
    peer.signal(PATH, FACE, "Changed", "s", ["x"])
    await asyncio.wait_for(closed.wait(), 60)
    assert bus.closed is not None
    assert bus.closed.reason == "handler-failed"
    assert "IndexError" in caplog.text
    await peer.stop()


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("org.freedesktop.systemd1.NoSuchUnit", PermanentError, "no-such-unit"),
        ("org.freedesktop.systemd1.UnitMasked", PermanentError, "unit-masked"),
        ("org.freedesktop.systemd1.JobTypeNotApplicable", PermanentError, "job-type-not-applicable"),
        ("org.freedesktop.DBus.Error.AccessDenied", PermanentError, "access-denied"),
        (
            "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
            PermanentError,
            "access-denied",
        ),
        ("org.freedesktop.systemd1.TransactionIsDestructive", TemporaryError, "transaction-is-destructive"),
        ("org.freedesktop.DBus.Error.LimitsExceeded", TemporaryError, "limits-exceeded"),
        ("org.freedesktop.DBus.Error.NoReply", DisconnectedError, "disconnected"),
        ("com.example.Never.Seen", TemporaryError, "seen"),
    ],
)
async def test_errors_are_translated(bus: Bus, bus_daemon: BusDaemon, name: str, kind: type, reason: str):
    """An error reply becomes an EventdError with a stable reason; no library's exception gets out."""
    peer = await _peer(bus_daemon.address, lambda call: failure(call, name, "the text"))
    with pytest.raises(kind, match="the text") as raised:
        await bus.call(NAME, PATH, FACE, "Do")
    assert raised.value.reason == reason
    assert type(raised.value) is kind
    await peer.stop()


async def test_a_name_that_nobody_owns_is_a_disconnected_peer(bus: Bus):
    """Calling it fails as a lost peer, and the connection to the bus itself stays."""
    with pytest.raises(DisconnectedError):
        await bus.call("org.example.Nobody", PATH, FACE, "Do")
    assert bus.closed is None


async def test_a_call_that_the_bus_does_not_allow_to_be_written_is_refused(bus: Bus):
    """An invalid name is the caller's mistake, and comes out as an EventdError too."""
    with pytest.raises(PermanentError):
        await bus.call("not a name", PATH, FACE, "Do")


async def test_messages_with_descriptors_are_withheld(bus: Bus, bus_daemon: BusDaemon):
    """We do not negotiate descriptors, so none can leak, whatever a peer sends."""
    peer = await _peer(bus_daemon.address)
    await bus.track(NAME)
    await bus.add_match(MATCH)
    seen = []
    bus.on(NAME, FACE, "Take", "h", lambda signal: seen.append(signal.body))
    before = open_descriptors()
    for _ in range(20):
        signal = Message.new_signal(PATH, FACE, "Take", "h", [0])
        signal.unix_fds = [0]
        peer.send(signal)
    await bus.call(NAME, PATH, FACE, "Barrier")
    assert open_descriptors() == before
    assert seen == []
    await peer.stop()


async def test_no_bus_there(tmp_path: Path):
    """A missing socket, and one that nobody listens on, are a lost connection and leave nothing open."""
    before = open_descriptors()
    with pytest.raises(DisconnectedError) as raised:
        await Bus.connect(f"unix:path={tmp_path}/none", timeout=60)
    assert raised.value.reason == "bus-unavailable"
    daemon = BusDaemon(tmp_path)
    daemon.start()
    daemon.kill()
    with pytest.raises(DisconnectedError):
        await Bus.connect(daemon.address, timeout=60)
    assert open_descriptors() == before


@pytest.mark.parametrize("address", ["tcp:host=localhost,port=1", "unix:weird=x", "nonsense"])
async def test_an_address_that_is_none(address: str):
    """Only unix sockets are taken; all else is a permanent error."""
    with pytest.raises(PermanentError) as raised:
        await Bus.connect(address, timeout=60)
    assert raised.value.reason == "bad-address"


async def test_a_bus_that_never_lets_us_in(bus_daemon: BusDaemon):
    """A bus that hangs during authentication is given up at the deadline, and the socket with it."""
    bus_daemon.freeze()
    before = open_descriptors()
    try:
        with pytest.raises(DeadlineError):
            await Bus.connect(bus_daemon.address, timeout=0.2)
    finally:
        bus_daemon.thaw()
    assert open_descriptors() == before


@pytest.fixture
def user_daemon(tmp_path: Path):
    """A bus that a user without privileges runs, in a folder of its own, as in /run/user/UID."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    for parent in (folder, *folder.parents):
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    os.chown(folder, NOBODY, NOBODY)
    folder.chmod(0o700)
    daemon = BusDaemon(folder, uid=NOBODY)
    daemon._config.chmod(0o644)
    daemon.start()
    yield daemon
    daemon.kill()


@needs_root
async def test_a_users_bus_is_entered_in_the_users_name(user_daemon: BusDaemon):
    """The bus takes us for its user; our thread is root again, and other threads never were anything else."""
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            status = Path(f"/proc/self/task/{threading.get_native_id()}/status").read_text()
            seen.add(status.partition("Uid:")[2].splitlines()[0].strip())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(20):
            bus = await Bus.connect(user_daemon.address, uid=NOBODY, timeout=60)
            assert os.geteuid() == 0
            uid = await bus.call(
                "org.freedesktop.DBus",
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus",
                "GetConnectionUnixUser",
                "s",
                [bus._connection.unique_name],
                reply="u",
            )
            assert uid[0] == NOBODY
            await bus.close()
    finally:
        stop.set()
        watcher.join()
    assert {row.split()[1] for row in seen} == {"0"}


@needs_root
async def test_only_a_thread_that_ends_has_the_users_uid(user_daemon: BusDaemon):
    """Who has a thread's effective uid may set its priority for good: so it is none of those that go on."""
    before = {thread.native_id for thread in threading.enumerate()}
    during: list[tuple[int, tuple[int, int, int]]] = []
    connect = socket.socket.connect

    def look(sock: socket.socket, address: object) -> None:
        during.append((threading.get_native_id(), os.getresuid()))
        connect(sock, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", look)
        sock = peer_socket.PeerSocket(NOBODY)
        sock.connect(str(user_daemon.socket))
        sock.close()
    ((thread, uids),) = during
    assert uids == (0, NOBODY, 0)
    assert thread not in before | {each.native_id for each in threading.enumerate()}


async def test_descriptors_go_out_and_none_comes_in(bus_daemon: BusDaemon):
    """A connection that may hand descriptors over takes none: the kernel closes what others send to it."""
    ours, others = [await Bus.connect(bus_daemon.address, fds=True, timeout=60) for _ in range(2)]
    read, write = os.pipe()
    os.set_blocking(read, False)
    name = str(ours._connection.unique_name)
    calling = asyncio.create_task(others.call(name, "/x", "a.b", "C", "h", [0], timeout=60, fds=[write]))
    await asyncio.sleep(0)
    # The answer to what comes after it says that the call, with what came along, was taken in.
    await others.call(name, "/", "org.freedesktop.DBus.Peer", "Ping", timeout=60)
    calling.cancel()
    await asyncio.wait({calling})
    os.close(write)
    assert os.read(read, 1) == b""  # nobody has the other end any more
    os.close(read)
    await asyncio.gather(ours.close(), others.close())


@needs_root
async def test_only_the_effective_uid_changes():
    """The real and the saved uid stay root's: else the user could send our process signals."""
    with peer_socket.effective_uid(NOBODY):
        during = os.getresuid()
    assert during == (0, NOBODY, 0)
    assert os.getresuid() == (0, 0, 0)


@needs_root
async def test_the_way_back_is_taken_after_an_error_too():
    """Whatever happens inside, the thread is root afterwards."""
    with pytest.raises(ZeroDivisionError), peer_socket.effective_uid(NOBODY):
        _ = 1 // 0
    assert os.getresuid() == (0, 0, 0)


@needs_root
async def test_a_users_bus_that_somebody_else_serves_is_not_trusted(bus_daemon: BusDaemon):
    """The user may have put a link to the system's bus there; we neither speak to it nor believe it."""
    bus_daemon.socket.chmod(0o777)
    for parent in list(bus_daemon.socket.parents)[:-1]:
        if parent.stat().st_uid == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    with pytest.raises(TemporaryError) as raised:
        await Bus.connect(bus_daemon.address, uid=NOBODY, timeout=60)
    assert raised.value.reason == "bus-not-trusted"


@needs_root
async def test_a_users_bus_refuses_root(user_daemon: BusDaemon):
    """dbus-daemon lets its own user in and nobody else: so the change of uid is needed."""
    with pytest.raises((PermanentError, DisconnectedError)):
        await Bus.connect(user_daemon.address, timeout=60)


@pytest.mark.parametrize(
    "gone", [OSError(9, "Bad file descriptor"), ValueError("Invalid file descriptor: -1")]
)
async def test_a_call_that_finds_the_socket_closed_is_a_lost_connection(
    bus_daemon: BusDaemon, gone: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bus may go between two looks: what the library says of its descriptor then is no mistake of the caller's."""
    bus = await Bus.connect(bus_daemon.address, timeout=60)
    told: list[str] = []
    bus.on_closed(lambda: told.append("closed"))

    def send(_message: Message) -> None:
        bus._connection.disconnect()
        raise gone

    monkeypatch.setattr(bus._connection, "send", send)
    with pytest.raises(DisconnectedError):
        await bus.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "GetId", reply="s")
    assert told == ["closed"]


def _complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What asyncio's logger, or any traceback, would put into the journal."""
    gc.collect()  # a future complains when it is forgotten
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "asyncio" or record.exc_info is not None
    ]


@pytest.mark.parametrize("noticed", [False, True], ids=["found out by a call", "found out by the loop"])
async def test_a_bus_that_goes_away_leaves_no_traceback(
    bus_daemon: BusDaemon, caplog: pytest.LogCaptureFixture, noticed: bool
) -> None:
    """With calls under way, and calls made before the loss is known: each ends, and nobody complains."""
    for _ in range(10):
        bus = await Bus.connect(bus_daemon.address, timeout=60)
        peer = await _peer(bus_daemon.address)
        peer.held["Slow"] = []
        waiting = asyncio.create_task(bus.call(NAME, PATH, FACE, "Slow", timeout=60))
        await peer.until_called("Slow")
        bus_daemon.kill()
        if noticed:
            await asyncio.sleep(0)
        late = [bus.call(NAME, PATH, FACE, "Late", timeout=60) for _ in range(4)]
        ended = await asyncio.gather(waiting, *late, return_exceptions=True)
        assert [type(error) for error in ended] == [DisconnectedError] * 5
        await bus.close()
        await peer.stop()
        bus_daemon.start()
    assert _complaints(caplog) == []


async def test_a_connection_that_is_ended_while_it_begins_leaves_no_traceback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bus that lets us in and is gone before it answers Hello is one error, told once."""
    path = tmp_path / "half"

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n")
        writer.write(b"OK 0123456789abcdef0123456789abcdef\r\n")
        await reader.readuntil(b"BEGIN\r\n")
        writer.close()

    server = await asyncio.start_unix_server(half, path)
    for _ in range(5):
        with pytest.raises(DisconnectedError):
            await Bus.connect(f"unix:path={path}", timeout=60)
    server.close()
    assert _complaints(caplog) == []


async def test_the_descriptor_stays_taken_until_nothing_of_it_is_registered(bus_daemon: BusDaemon) -> None:
    """The library goes on using the number of a socket that it closed: until we give it back it is nobody else's."""
    bus = await Bus.connect(bus_daemon.address, timeout=60)
    number = bus._connection._fd
    finalize = bus._connection._finalize
    taken: list[int] = []

    def finalize_and_let_others_open_something(error: Exception | None = None) -> None:
        finalize(error)
        taken.extend(os.pipe())

    bus._connection._finalize = finalize_and_let_others_open_something
    bus_daemon.kill()
    with pytest.raises(DisconnectedError):
        await bus.call(NAME, PATH, FACE, "Late", timeout=60)
    await bus.close()
    try:
        assert taken
        assert number not in taken
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(number)  # closed in the end
    finally:
        for descriptor in taken:
            os.close(descriptor)
