"""What to do about a daemon that does not answer: systemd knows whether it starts, has failed, or is not enabled.

Asked only after a connection to the default socket has failed. Where systemd cannot be asked, the general hint stands.
"""

from __future__ import annotations

import subprocess

UNIT = "eventd.service"
_PROPERTIES = ("LoadState", "ActiveState", "SubState", "ConditionResult", "ConditionTimestamp")
_TIMEOUT = 5.0
_JOURNAL = "journalctl -u eventd -n 50"


def hint() -> str:
    """Return a hint by the state of the unit; empty if that explains nothing, or systemd does not answer."""
    state = _state()
    match state.get("LoadState"), state.get("ActiveState"):
        case "not-found", _:
            return "eventd.service is not installed on this host"
        case "masked", _:
            return "eventd.service is masked: systemctl unmask eventd"
        case _, "activating" if state.get("SubState") == "auto-restart":
            return f"eventd has failed and is about to be restarted: {_JOURNAL}"
        case _, "activating":
            return "eventd is starting: ask again in a moment"
        case _, "deactivating":
            return "eventd is stopping"
        case _, "failed":
            return f"eventd has failed: {_JOURNAL}"
        case _, "inactive" if state.get("ConditionResult") == "no" and state.get("ConditionTimestamp"):
            return "eventd has no configuration yet: eventctl doctor"
        case _, "inactive":
            return "eventd is stopped: systemctl enable --now eventd"
        case _:
            return ""


def _state() -> dict[str, str]:
    """Return the properties of the unit; none where systemd does not answer."""
    try:
        done = subprocess.run(
            ["systemctl", "show", f"--property={','.join(_PROPERTIES)}", UNIT],
            check=False, capture_output=True, text=True, timeout=_TIMEOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if done.returncode:
        return {}
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
