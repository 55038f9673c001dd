"""Changes that a person makes to the simulated host by hand.

`python -m eventd_simulators.demo.hand ADDRESS stop|start|crash USER UNIT`, or `… ADDRESS reboot`.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from eventd.kernel.model.errors import EventdError
from eventd_simulators.wire.control import Control


async def act(address: str, what: str, user: str = "", unit: str = "") -> None:
    """Do it; raises EventdError if the host refuses."""
    async with Control(address) as control:
        match what:
            case "stop":
                await control.call("StopUnit", "ss", user, unit)
            case "start":
                await control.call("StartUnit", "ss", user, unit)
            case "crash":
                await control.call("CrashUnit", "ssi", user, unit, 1)
            case _:
                await control.call("Reboot")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="hand", description="What happens to the simulated host by hand.")
    parser.add_argument("address", help="of the simulated host's system bus")
    parser.add_argument("what", choices=("stop", "start", "crash", "reboot"))
    parser.add_argument("user", nargs="?", default="")
    parser.add_argument("unit", nargs="?", default="")
    options = parser.parse_args()
    if options.what != "reboot" and not options.unit:
        parser.error(f"{options.what} needs USER and UNIT")
    try:
        asyncio.run(act(options.address, options.what, options.user, options.unit))
    except EventdError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
