"""A private dbus-daemon: the real one, on a socket in the simulated host's folder.

It ends with the simulator, however the simulator ends.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
from typing import TYPE_CHECKING, Final

from eventd.kernel.model.errors import DeadlineError, PermanentError

if TYPE_CHECKING:
    from pathlib import Path

START_TIMEOUT: Final = 10.0
LONGEST_PATH: Final = 107
"""sun_path of unix(7), without the final zero."""
_PR_SET_PDEATHSIG: Final = 1
_CONFIG: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/>
  </policy>
</busconfig>
"""
_libc = ctypes.CDLL(None)


def _die_with_parent() -> None:
    """In the child before exec: SIGTERM when the simulator dies, however it dies (prctl(2))."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class BusDaemon:
    """One bus, run as the simulator's own user: dbus-daemon refuses a uid that NSS does not know."""

    def __init__(self, socket: Path) -> None:
        if len(os.fsencode(socket)) > LONGEST_PATH:
            raise PermanentError(
                f"the path of the bus is longer than {LONGEST_PATH} bytes: {socket}",
                reason="path-too-long",
                hint="put the simulated host into a folder with a shorter name",
            )
        self.socket = socket
        self.address = f"unix:path={socket}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; it listens when this returns."""
        folder = self.socket.parent
        folder.mkdir(parents=True, exist_ok=True)
        self.socket.unlink(missing_ok=True)
        config = folder / ".bus.conf"
        config.write_text(_CONFIG.format(socket=self.socket))
        log = (folder / ".bus.log").open("ab")  # it warns of limits that do not matter here
        try:
            self._process = await asyncio.create_subprocess_exec(
                "dbus-daemon",
                f"--config-file={config}",
                "--nofork",
                "--nopidfile",
                "--nosyslog",
                "--print-address=1",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C goes to the simulator, which ends it in order
                preexec_fn=_die_with_parent,
            )
        except FileNotFoundError as error:
            message = "the program dbus-daemon is not installed"
            raise PermanentError(message, reason="command-missing", hint="install dbus") from error
        finally:
            log.close()
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_TIMEOUT):
                told = await self._process.stdout.readline()
        except TimeoutError as error:
            await self.stop()
            raise DeadlineError(f"dbus-daemon did not listen within {START_TIMEOUT:g} s") from error
        if not told:
            await self.stop()
            raise PermanentError(
                f"dbus-daemon did not start on {self.socket}",
                reason="bus-unavailable",
                hint=f"see {folder / '.bus.log'}",
            )

    async def stop(self) -> None:
        """End it and remove its socket; every connection is lost."""
        process, self._process = self._process, None
        if process is None:
            return
        self.socket.unlink(missing_ok=True)  # before anybody can notice the end and look for it
        if process.returncode is None:
            process.kill()
        await process.wait()
        # Asyncio closes the pipe's transport only when it is told or collected.
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001
