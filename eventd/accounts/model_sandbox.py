"""Where the sandbox of eventd.service lets it write, for homes that are not in /home.

Pure. `doctor` asks it with what `systemctl show` says of the unit; useradd's failure names the same way out.
"""

from __future__ import annotations

UNIT = "eventd.service"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/homes.conf"


def closed(folder: str, shown: str) -> bool:
    """Tell whether the sandbox keeps a folder from being written to; `shown`: ProtectSystem= and ReadWritePaths=."""
    settings = dict(line.partition("=")[::2] for line in shown.splitlines())
    if settings.get("ProtectSystem") != "strict":
        return False
    paths = [path.lstrip("-+").rstrip("/") for path in settings.get("ReadWritePaths", "").split()]
    return not any(folder == path or folder.startswith(f"{path}/") for path in paths)


def writable(folder: str) -> str:
    """Return the commands that let the daemon make homes there."""
    return (
        f"mkdir -p {DROP_IN.rpartition('/')[0]} && printf '[Service]\\nReadWritePaths={folder}\\n' > {DROP_IN} "
        f"&& systemctl daemon-reload && systemctl restart {UNIT}; a file system that is read-only: remount it"
    )
