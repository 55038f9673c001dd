"""The place of the demo: a temporary folder, an environment, and the configuration files that go into it."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventd_simulators.demo.children import DemoError

_SAFE = re.compile(r"[-0-9A-Za-z_/.]+")
"""What needs no escaping in a D-Bus address."""
_LONGEST = 40
"""Characters of the folder that leave room for the sockets below it: sun_path of unix(7) has 107."""
CONFIG = """\
# On a real host, url is all that /etc/eventd/eventd.toml needs; the rest is for the simulated one.
git_account = ""
check_account = ""

[repository]
url = "{url}"
branch = "main"
allow_http = true

[host]
name = "{host}"

[defaults]
grace = "0.3s"

[paths]
quadlets = "{root}/etc/containers/systemd/users"
units = "{root}/etc/eventd/units"
stacks = "{root}/etc/eventd/stacks"
transforms = "{root}/etc/eventd/transforms"
state = "{root}/var/lib/eventd"
git = "{root}/var/lib/eventd-git/repository.git"
runtime = "{root}/run/eventd"
linger = "{root}/var/lib/systemd/linger"
generator = "{root}/usr/lib/systemd/user-generators/podman-user-generator"

[api]
socket = "{root}/run/eventd/eventd.sock"
webhook_socket = "{root}/run/eventd/webhook.sock"

[dbus]
system = "{system}"
user = "{user}"
"""
HOOKS = """\
daemon = "{root}/run/eventd/webhook.sock"

[[hooks]]
name = "forge"
forge = "gitea"
repository = "{repository}"
branch = "main"
secret_file = "{secret}"
"""


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder to run programs from, with room for the names of sockets; remove it at the end."""
    candidates = [tempfile.gettempdir(), "/tmp", "/var/tmp", os.environ.get("XDG_RUNTIME_DIR", "")]  # noqa: S108
    for base in candidates:
        if not _SAFE.fullmatch(base) or len(base) > _LONGEST or not os.access(base, os.W_OK | os.X_OK):
            continue
        if os.statvfs(base).f_flag & os.ST_NOEXEC:
            continue
        made = Path(tempfile.mkdtemp(prefix="eventd-demo-", dir=base))
        try:
            yield made
        finally:
            shutil.rmtree(made)
        return
    raise DemoError(f"none of {', '.join(filter(None, candidates))} can be used; set TMPDIR to a short path")


def environment(home: Path) -> dict[str, str]:
    """Return the environment of every program here: nothing of the user's that would change what they do."""
    dropped = (
        "GIT_",
        "EVENTD_",
        "LISTEN_",
        "NOTIFY_",
        "WATCHDOG_",
        "CREDENTIALS_",
        "STATE_",
        "XDG_",
        "DBUS_",
    )
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(dropped) and not key.lower().endswith("_proxy")
    }
    return {
        **kept,
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
    }
