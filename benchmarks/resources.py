"""What eventd costs while nothing happens: wake-ups, memory, CPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.deploy import MANY
from benchmarks.host import Json, app, host

SETTLE = 10.0
"""Seconds after the last run in which the worker threads of a burst may still end."""


@dataclass(frozen=True, slots=True)
class Rest:
    """A running eventd with `MANY` workloads at rest."""

    seconds: float
    wakeups: dict[str, int]
    """By thread name and id: the daemon's own, whatever they were for."""
    events: int
    """Events that came in meanwhile: each is somebody else's doing."""
    uevents: int
    """Messages of udev that came in meanwhile: likewise, about devices that this kernel's other hosts share."""
    watchdog: int
    """Wake-ups that the watchdog takes: one in half of WatchdogSec=."""
    cpu: float
    """Seconds."""
    rss: int
    pss: int
    """Bytes; shared pages are divided among those who have them."""
    threads: int

    def json(self) -> Json:
        names = ("seconds", "wakeups", "events", "uevents", "watchdog", "cpu", "rss", "pss", "threads")
        return {name: getattr(self, name) for name in names}


def measure(seconds: float, say: Callable[[str], None]) -> Rest:
    """Deploy, let it come to rest, and count for `seconds`."""
    with host() as one:
        pid = one.pid
        commit = one.commit({f"p{number}": app() for number in range(MANY)})
        one.push()
        one.ask("settled", commit=commit)
        # Also a second of each kind, so that what is made at first use is there.
        commit = one.commit({"p0": app("changed")})
        one.push()
        one.ask("settled", commit=commit)
        say(f"at rest: {SETTLE:g} s of settling, then {seconds:g} s of counting")
        time.sleep(SETTLE)
        events = one.ask("events", since=0)[-1]["sequence"]
        # A request wakes the daemon, so the counting begins after the last and ends before the next.
        time.sleep(1)
        one.ask("uevents")
        spent, before = one.ask("spent", pid=pid), one.ask("switches", pid=pid)
        began = time.monotonic()
        time.sleep(seconds)
        after, length = one.ask("switches", pid=pid), time.monotonic() - began
        uevents = one.ask("uevents")
        cpu = one.ask("spent", pid=pid)["own"] - spent["own"]
        memory = one.ask("memory", pid=pid)
        new = one.ask("events", since=events)
        interval = float(one.machine.show("eventd.service", "WatchdogUSec")["WatchdogUSec"].rstrip("s")) / 2
    wakeups = {
        f"{row['name']}/{task}": row["voluntary"] - before.get(task, {"voluntary": 0})["voluntary"]
        for task, row in after.items()
    }
    return Rest(
        seconds=length,
        wakeups=wakeups,
        events=len(new),
        uevents=uevents,
        watchdog=round(length / interval),
        cpu=cpu,
        rss=memory["Rss"],
        pss=memory["Pss"],
        threads=len(after),
    )
