"""A private dbus-daemon: the real one, on a socket of the test's own; it can be killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  {policy}
  <limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="max_incoming_bytes">1000000000</limit>
  <limit name="max_replies_per_connection">100000</limit>
  <limit name="max_match_rules_per_connection">10000</limit>
</busconfig>
"""
ALLOW_ALL = """<policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>"""


class BusDaemon:
    """`start` returns once the daemon listens; `kill` is what a crash looks like to its clients."""

    def __init__(self, folder: Path, *, uid: int | None = None) -> None:
        self.socket = folder / "bus"
        self.address = f"unix:path={self.socket}"
        self._uid = uid
        self._config = folder / "bus.conf"
        self._config.write_text(CONFIG.format(socket=self.socket, policy=ALLOW_ALL))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it has told its address: it listens by then."""
        self.socket.unlink(missing_ok=True)
        read, write = os.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    "dbus-daemon",
                    f"--config-file={self._config}",
                    "--nofork",
                    "--nopidfile",
                    f"--print-address={write}",
                ],
                pass_fds=(write,),
                user=self._uid,
                extra_groups=[] if self._uid is not None else None,
            )
        finally:
            os.close(write)
        with os.fdopen(read) as told:
            assert told.readline(), "dbus-daemon did not start"

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: it still listens, and answers nobody."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
