"""`python -m eventd_simulators.wire --dir DIR`: run the simulated host until it is told to end.

Prints one line of JSON when it is up (`system`: address of the system bus, `user`: template of a user's),
and sends READY=1 to NOTIFY_SOCKET if there is one (sd_notify(3)). Ends on SIGTERM and SIGINT, and with its
parent.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import json
import logging
import os
import signal
import sys
from pathlib import Path

from eventd.platform.sdnotify import Notifier
from eventd_simulators.wire.server import WireHost

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser(prog="eventd-simulator", description="A simulated host for eventd.")
    parser.add_argument(
        "--dir", type=Path, required=True, help="the folder that stands for / (made if missing)"
    )
    parser.add_argument("--offline", action="store_true", help="do not reach network-online.target by itself")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    # A simulator whose parent has died is useless, and would keep its buses running (prctl(2)).
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    asyncio.run(_run(options.dir, online=not options.offline))
    return 0


async def _run(folder: Path, *, online: bool) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    async with WireHost(folder, online=online) as host:
        sys.stdout.write(json.dumps({"system": host.address, "user": host.user_address}) + "\n")
        sys.stdout.flush()
        Notifier.from_environment(os.environ).ready()
        await ended.wait()


if __name__ == "__main__":
    sys.exit(main())
